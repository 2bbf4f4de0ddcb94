"""What is refused is told in words, also where a pattern refused it."""

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from invoicing.kit.findings import findings_of


@pytest.mark.parametrize(
    ("pattern", "given", "said"),
    [
        (r"^[^\x00]*[^\s\x00][^\x00]*$", " ", "The text is blank."),
        (r"^[A-Z]{3}$", "eur", "This must be three capital letters, such as EUR."),
        (r"^[a-z]+@[a-z.]+$", "acme", "This must be a mail address, such as billing@example.com."),
        (r"^[0-9]+$", "x", "This must have the form ^[0-9]+$"),
    ],
)
def test_a_text_of_another_form_is_refused_in_words(pattern: str, given: str, said: str) -> None:
    kind: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(pattern=pattern)])
    with pytest.raises(ValidationError) as refused:
        kind.validate_python(given)
    (finding,) = findings_of(refused.value, "/reason")
    assert (finding.field, finding.message) == ("/reason", said)
