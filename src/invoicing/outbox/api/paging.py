"""What requests about webhooks and mail addresses name: ids, states, and where a list goes on."""

import re
from collections.abc import Callable
from uuid import UUID

from fastapi import Request

from invoicing.kit.cursor import place_of
from invoicing.kit.http.queries import query_text, wrong
from invoicing.kit.problems import Problem
from invoicing.outbox.model import MessageState

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def id_in(request: Request, name: str, nobodys: Callable[[], Problem]) -> UUID:
    """Read an id from the path; what is none is nobody's."""
    text = request.path_params[name]
    if not _UUID.fullmatch(text):
        raise nobodys()
    return UUID(text)


def state_of(request: Request) -> str | None:
    """Read in which state messages are wanted; None: in any."""
    state = query_text(request, "state")
    if state is not None and state not in set(MessageState):
        raise wrong("state", "There is no such state.", f"The states are {', '.join(MessageState)}.")
    return state


def continued(owner: str, token: str, state: str | None) -> tuple[str | None, UUID]:
    """Read where a list goes on, and in which state its messages are."""
    place = place_of(owner, token)
    if state is not None and state != place["state"]:
        raise wrong(
            "page_token",
            "This page_token belongs to a list with other filters.",
            "Send the same filters with it, or none.",
        )
    return place["state"], UUID(place["before"])
