"""Times given from outside: RFC 3339 with an offset, within what every part of the service can hold."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime
from pydantic_core import PydanticCustomError

_FIRST, _END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _within_reach(moment: datetime) -> datetime:
    if not _FIRST <= moment < _END:
        raise PydanticCustomError("time_out_of_reach", "The time must lie in this century or the next.")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_within_reach)]
