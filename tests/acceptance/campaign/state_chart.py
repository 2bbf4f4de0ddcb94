"""The paths that a job may take, copied by hand from `docs/states.md`: the service's own table is no witness."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from .observed import FINAL, Entry

BIRTH = ("accepted", "queued")

CHANGES = {
    ("queued", "started", "running"),
    ("queued", "cancelled", "cancelled"),
    ("running", "succeeded", "succeeded"),
    ("running", "dead", "dead"),
    ("running", "retrying", "retrying"),
    ("running", "interrupted", "queued"),
    ("running", "parked", "queued"),
    ("running", "rescued", "queued"),
    ("running", "cancelled", "cancelled"),
    ("retrying", "started", "running"),
    ("retrying", "retried", "queued"),
    ("retrying", "cancelled", "cancelled"),
    ("dead", "retried", "queued"),
}
"""(from, event, to); the rows of reviews are left out: the campaign has none, nor quotas."""

PROMISED = {"promise_at_risk", "promise_on_track", "promise_missed", "promise_moved", "update"}
STAYS = {
    "running": {"progressed", "reclassed", "cancel_requested"} | PROMISED,
    "queued": {"expedited", "moved", "reclassed", "paused", "resumed"} | PROMISED,
    "retrying": {"expedited", "moved", "reclassed", "paused", "resumed"} | PROMISED,
}
"""Events that leave the state as it is."""


def faults_of(timeline: Sequence[Entry]) -> Iterator[str]:
    """Say what is wrong with a timeline as a path, in the order of its rows."""
    if not timeline:
        yield "it has no timeline"
        return
    if timeline[0].seq != 1 or any(before.seq >= after.seq for before, after in pairwise(timeline)):
        yield f"its rows are not in order: {[entry.seq for entry in timeline]}"
    first = timeline[0]
    if (first.event, first.state, first.attempt) != (*BIRTH, 0):
        yield f"it begins with {first.event} ({first.state}, attempt {first.attempt})"
    for before, after in pairwise(timeline):
        yield from _step(before, after)


def _step(before: Entry, after: Entry) -> Iterator[str]:
    stays = before.state == after.state and after.event in STAYS.get(before.state, ())
    if not stays and (before.state, after.event, after.state) not in CHANGES:
        yield f"row {after.seq}: {before.state} → {after.state} by {after.event}"
    began = after.event == "started"
    if after.attempt != before.attempt + began:
        yield f"row {after.seq}: {after.event} of attempt {after.attempt} after attempt {before.attempt}"


def ends(timeline: Sequence[Entry]) -> int:
    """Count how often a job ended, not counting ends that our staff undid."""
    final = sum(entry.state in FINAL and entry.event in FINAL for entry in timeline)
    return final - sum(before.state in FINAL and after.event == "retried" for before, after in pairwise(timeline))
