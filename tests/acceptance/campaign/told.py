"""Rules about what customers' webhooks were told, by what came there: Standard Webhooks, read without the service."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .observed import FINAL, Arrival, Entry, Hook, Job, Seen

_FRESH_S = 300.0
"""A receiver refuses a timestamp that is further away than this."""


@dataclass(frozen=True)
class Told:
    """An arrival that tells of the end of a job."""

    arrival: Arrival
    job: str
    event: str


Found = Iterator[tuple[str, str]]


def untold(seen: Seen) -> Found:
    """Find ends of jobs of which a webhook that wants them was not told, or of which the answer was never a 2xx."""
    told = _by_hook_and_job(seen)
    for hook, job, ends in _wanted(seen):
        came = [one for one in told.get((hook.name, job.id), ()) if one.arrival.accepted]
        for event in {end.event for end in ends}:
            wanted = sum(end.event == event for end in ends)
            ids = {one.arrival.id for one in came if one.event == f"job.{event}"}
            if len(ids) < wanted:
                yield job.id, f"was {event} {wanted} times, of which {hook.name} was told {len(ids)} times"


def told_again(seen: Seen) -> Found:
    """Find ends that were told under more than one id, or that never were."""
    wanted = {(hook.name, job.id): [f"job.{end.event}" for end in ends] for hook, job, ends in _wanted(seen)}
    for (hook, job), came in _by_hook_and_job(seen).items():
        ids = {one.arrival.id: one.event for one in came}
        for event in sorted(set(ids.values())):
            number = sum(one == event for one in ids.values())
            if number > (ends := wanted.get((hook, job), []).count(event)):
                yield job, f"{event} was told {hook} under {number} ids, and happened {ends} times"


def told_otherwise(seen: Seen) -> Found:
    """Find messages that do not say the same each time that they come, or go to more than one webhook."""
    said: dict[str, set[tuple[str, bytes]]] = {}
    for one in seen.arrivals:
        said.setdefault(one.id, set()).add((one.hook, one.body))
    for message, bodies in said.items():
        if len(bodies) > 1:
            yield message, f"came in {len(bodies)} versions"


def unsigned(seen: Seen) -> Found:
    """Find messages that a receiver would refuse, by their signature or by their time."""
    secrets = {hook.name: hook.secret for hook in seen.hooks}
    for one in seen.arrivals:
        signed = f"{one.id}.{one.timestamp}.".encode() + one.body
        key = base64.b64decode(secrets.get(one.hook, "").removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if f"v1,{expected}" not in one.signature.split():
            yield one.id, f"came to {one.hook} with a signature that does not hold"
        if not one.timestamp.isdigit() or abs(one.at - int(one.timestamp)) > _FRESH_S:
            yield one.id, f"came to {one.hook} at {one.at:.0f} with the timestamp {one.timestamp}"


def disordered(seen: Seen) -> Found:
    """Find jobs of which a webhook was told of a later end before it had taken an earlier one."""
    told = _by_hook_and_job(seen)
    for hook, job, ends in _wanted(seen):
        came = told.get((hook.name, job.id), ())
        order = list(dict.fromkeys(one.arrival.id for one in came))
        taken: set[str] = set()
        for one in came:
            if not taken.issuperset(order[: order.index(one.arrival.id)]):
                yield job.id, f"{hook.name} was told of a later end before it had taken an earlier one"
            if one.arrival.accepted:
                taken.add(one.arrival.id)
        first = [next(one.event for one in came if one.arrival.id == message) for message in order]
        if len(first) == len(ends) and first != [f"job.{end.event}" for end in ends]:
            yield job.id, f"{hook.name} was told in another order: {first}"


def _wanted(seen: Seen) -> Iterator[tuple[Hook, Job, Sequence[Entry]]]:
    """Give what each webhook is to be told of each job: its ends, one after the other."""
    for hook in seen.hooks:
        for job in seen.jobs:
            ends = [one for one in job.timeline if one.event in FINAL and one.state in FINAL]
            wanted = [one for one in ends if hook.events is None or f"job.{one.event}" in hook.events]
            if job.customer == hook.customer and wanted:
                yield hook, job, wanted


def _by_hook_and_job(seen: Seen) -> Mapping[tuple[str, str], Sequence[Told]]:
    """Sort what came by webhook and job, in the order in which it came; other events than ends are left out."""
    found: dict[tuple[str, str], list[Told]] = {}
    for one in seen.arrivals:
        said = json.loads(one.body)
        if said["type"].removeprefix("job.") in FINAL:
            job = str(said["data"]["id"])
            found.setdefault((one.hook, job), []).append(Told(one, job, said["type"]))
    return found
