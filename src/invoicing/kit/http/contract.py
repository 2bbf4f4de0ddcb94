"""Routes that are as fast as Starlette's and as completely described as FastAPI's."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, TypeAdapter

from invoicing.kit.http.answers import PROBLEM
from invoicing.kit.problems import STATUS

Endpoint = Callable[[Request], Awaitable[Response]]
Schema = dict[str, Any]

REFS = "#/components/schemas/{model}"

_ALWAYS = {"Support-Reference": "The name of this request in our logs."}
_LIMITS = {
    "RateLimit-Policy": "How many requests may be made in which time (seconds).",
    "RateLimit": "How many are left, and in how many seconds all are given back.",
}
_PROBLEM_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    405: {"Allow": "The methods of this address."},
    429: {"Retry-After": "Seconds to wait."},
    503: {"Retry-After": "Seconds to wait."},
}


class FindingBody(BaseModel):
    """One thing wrong with what was sent."""

    code: str
    field: str = Field(description="RFC 6901 JSON pointer.")
    message: str
    remedy: str


class ProblemBody(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    code: str = Field(description=f"Stable; one of {', '.join(STATUS)}.")
    detail: str
    field: str | None = Field(description="RFC 6901 JSON pointer to what is wrong.")
    remedy: str = Field(description="What to do about it.")
    errors: list[FindingBody]
    support_reference: str = Field(description="Name this to our support.")


@dataclass(frozen=True)
class Given:
    """A successful answer: what it means, its body by media type (a model, a schema, or nothing), its headers."""

    meaning: str
    content: Mapping[str, type[BaseModel] | Schema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameter:
    """Something read from the path, the query or the headers."""

    place: str
    name: str
    meaning: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    required: bool = False
    example: str | int | None = None

    def described(self) -> Schema:
        """Write it as OpenAPI does."""
        described = {
            "in": self.place,
            "name": self.name,
            "description": self.meaning,
            "required": self.required or self.place == "path",
            "schema": self.schema,
        }
        return described if self.example is None else described | {"example": self.example}


class Direct(APIRoute):
    """A route whose endpoint takes the request and gives the response: nothing is solved, validated or serialised."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Let the endpoint be called as it is."""
        return self.endpoint


class Router(APIRouter):
    """Routes of a room, each described in full where it is added."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__(route_class=Direct, redirect_slashes=False)
        self.models: list[type[BaseModel]] = [ProblemBody]

    def operation(
        self,
        method: str,
        path: str,
        endpoint: Endpoint,
        *,
        name: str,
        summary: str,
        tag: str,
        answers: Mapping[int, Given],
        problems: Sequence[int] = (),
        parameters: Sequence[Parameter] = (),
        body: type[BaseModel] | Schema | None = None,
        text: str = "",
        keyed: bool = True,
    ) -> None:
        """Add a route; `keyed` ones need a key, count against the rate and say so. A `body` may be a model."""
        first = next(iter(answers))
        usual = {*problems, *((401, 403, 406, 429, 500, 503) if keyed else (500,))}
        statuses = sorted(usual - answers.keys())  # an answer may describe a problem better than its status alone
        extra: Schema = {"parameters": [parameter.described() for parameter in parameters]}
        extra["security"] = [{"key": []}] if keyed else []
        if body is not None:
            extra["requestBody"] = self._asked(body)
        self.add_api_route(
            path,
            endpoint,
            methods=[method],
            operation_id=name,
            summary=summary,
            description=text or summary,
            tags=[tag],
            status_code=first,
            response_class=Response,
            response_model=None,
            response_description=answers[first].meaning,
            responses={status: self._given(given, keyed=keyed) for status, given in answers.items()}
            | {status: _problem(status, keyed=keyed) for status in statuses},
            openapi_extra=extra,
        )

    def _asked(self, body: type[BaseModel] | Schema) -> Schema:
        if isinstance(body, dict):
            return body
        return {"required": True, "content": {"application/json": {"schema": self._schema(body)}}}

    def _given(self, given: Given, *, keyed: bool) -> Schema:
        content = {media: {"schema": self._schema(body)} for media, body in given.content.items()}
        described: Schema = {"description": given.meaning, "headers": _headers({**given.headers}, keyed=keyed)}
        return described | ({"content": content} if content else {})

    def _schema(self, body: type[BaseModel] | Schema) -> Schema:
        if isinstance(body, dict):
            return body
        self.models.append(body)
        return {"$ref": REFS.format(model=body.__name__)}


def _problem(status: int, *, keyed: bool) -> Schema:
    codes = " or ".join(f"`{code}`" for code, its in STATUS.items() if its == status)
    return {
        "description": f"Problem {codes}.",
        "content": {PROBLEM: {"schema": {"$ref": REFS.format(model=ProblemBody.__name__)}}},
        "headers": _headers(_PROBLEM_HEADERS.get(status, {}), keyed=keyed and status not in {401, 503}),
    }


def _headers(own: Mapping[str, str], *, keyed: bool) -> Schema:
    return {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in {**own, **_ALWAYS, **(_LIMITS if keyed else {})}.items()
    }


def schemas_of(models: Sequence[type[BaseModel]]) -> dict[str, Schema]:
    """Give the schemas of models and of all they are made of, by name."""
    found: dict[str, Schema] = {}
    for model in dict.fromkeys(models):
        schema = TypeAdapter(model).json_schema(ref_template=REFS, mode="serialization")
        for name, part in {**schema.pop("$defs", {}), model.__name__: schema}.items():
            if found.setdefault(name, part) != part:
                raise ValueError(f"two models are called {name}")
    return found
