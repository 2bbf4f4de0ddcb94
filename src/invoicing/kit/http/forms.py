"""Small JSON bodies read into a model."""

from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError

from invoicing.kit.findings import findings_of, malformed, refused
from invoicing.kit.http.bodies import json_expected, received

_LARGEST = 64 * 1024

Sentence = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
"""What a person wrote about an act, such as its reason: something that can be read, and kept."""

Form = TypeVar("Form", bound=BaseModel)


async def form(request: Request, model: type[Form]) -> Form:
    """Read a body into a model; raises `Problem` naming everything that its schema forbids."""
    json_expected(request)
    async with received(request, _LARGEST) as body:
        try:
            return model.model_validate_json(body.whole, strict=True)
        except ValidationError as error:
            raise malformed(error) or refused(findings_of(error)) from error
