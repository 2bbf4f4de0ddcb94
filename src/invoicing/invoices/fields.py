"""The types of single fields in a request: decimal strings, dates, codes and text fit for XML."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from invoicing.invoices.markup import ILLEGAL

_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Part(BaseModel):
    """A piece of a request: unknown names are refused, since a misspelt name is a wrong invoice."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Term_co = TypeVar("Term_co", covariant=True)
Term = TypeVar("Term")


class Convertible(Protocol[Term_co]):
    """A part of a request that has a term of the model."""

    def to_model(self) -> Term_co: ...


def term(part: Convertible[Term] | None) -> Term | None:
    """Convert a part that may be absent."""
    return None if part is None else part.to_model()


def legal_text(value: str) -> str:
    """Refuse what XML cannot carry; name the character, for it is invisible."""
    found = ILLEGAL.search(value)
    if found is None:
        return value
    raise PydanticCustomError(
        "illegal_character",
        "holds the character U+{code} at position {position}, which no XML document can carry; remove it",
        {"code": f"{ord(found.group()):04X}", "position": found.start()},
    )


def _decimal_reader(pattern: re.Pattern[str], shape: str, *, positive: bool) -> Callable[[object], Decimal]:
    def read(value: object) -> Decimal:
        if isinstance(value, int | float):
            raise PydanticCustomError(
                "decimal_not_string",
                'must be a decimal string such as "12.50"; a JSON number may lose digits on its way',
            )
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise PydanticCustomError("decimal_format", "must be a decimal string with {shape}", {"shape": shape})
        number = Decimal(value)
        if positive and not number:
            raise PydanticCustomError("decimal_positive", "must be greater than zero")
        return number or abs(number)  # "-0.00" is zero

    return read


def _decimal(digits: int, places: int, *, signed: bool = True, positive: bool = False) -> tuple[object, ...]:
    """Annotate a decimal string with at most so many digits before and after the point."""
    fraction = rf"(\.[0-9]{{1,{places}}})?"
    expression = rf"{'-?' if signed else ''}(0|[1-9][0-9]{{0,{digits - 1}}}){fraction}"
    sign = "an optional minus sign, " if signed else "no sign, "
    shape = f"{sign}at most {digits} digits before and {places} after the point, no exponent"
    return (
        BeforeValidator(_decimal_reader(re.compile(expression), shape, positive=positive)),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "pattern": f"^{expression}$", "description": shape, "examples": ["12.50"]}),
    )


# BR-DEC-*: amounts carry at most two decimals, prices and quantities as many as they need.
Amount = Annotated[Decimal, *_decimal(12, 2)]
Price = Annotated[Decimal, *_decimal(12, 10)]
Quantity = Annotated[Decimal, *_decimal(12, 10)]
BaseQuantity = Annotated[Decimal, *_decimal(12, 10, signed=False, positive=True)]
Percentage = Annotated[Decimal, *_decimal(3, 6, signed=False)]


def _read_date(value: object) -> date:
    if type(value) is date:
        return value
    if not isinstance(value, str) or _ISO_DATE.fullmatch(value) is None:
        raise PydanticCustomError("date_format", 'must be a date such as "2026-11-22"')
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("date_unknown", "is no day of the calendar") from error


Day = Annotated[
    date,
    BeforeValidator(_read_date),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-22"]}),
]

_LEGAL: Final = AfterValidator(legal_text)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), _LEGAL]
Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), _LEGAL]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), _LEGAL]
Series = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,30}[A-Za-z0-9])?$"), _LEGAL]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,31}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
