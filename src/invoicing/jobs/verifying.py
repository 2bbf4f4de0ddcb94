"""Checking a ledger against itself: each history a legal path, each file the bytes of its hash, nothing lost."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from invoicing.jobs.model import FINISHED, State
from invoicing.jobs.model.history import NO_TRIES, Discrepancy, Stand, holes
from invoicing.jobs.store import audit
from invoicing.jobs.store.audit import FIRST, LAST, File
from invoicing.kit.db import Session, driver

_BEGUN = text("SELECT 1")
"""Begins the transaction that the driver's statements then belong to."""

PAGE = 500
"""Jobs that are looked at in one transaction, as of one moment: no long one that holds up the cleaning of tables."""


@dataclass
class Page:
    """What was seen of a range of jobs, and what in it cannot be so."""

    after: UUID
    upto: UUID
    states: Counter[State] = field(default_factory=Counter)
    files: int = 0
    bytes: int = 0
    found: list[Discrepancy] = field(default_factory=list)

    @property
    def goes_on(self) -> UUID | None:
        """Tell behind which id the next page begins; None when there is none."""
        return None if self.upto == LAST else self.upto


async def about_how_many(session: Session) -> int:
    """Estimate how many jobs there are to check."""
    return await audit.about_how_many(await driver(session))


async def check(session: Session, after: UUID = FIRST, most: int = PAGE) -> Page:
    """Check the next jobs behind an id; their files are read through, a few megabytes at a time."""
    await session.execute(_BEGUN)
    connection = await driver(session)
    stands = {stand.job_id: stand for stand in await audit.stands(connection, after, most)}
    page = Page(after, max(stands) if len(stands) == most else LAST)
    page.states.update(stand.state for stand in stands.values())
    tries = await audit.tries(connection, after, page.upto)
    page.found += _orphans("attempts", tries, stands)
    unseen = dict(stands)
    async for job_id, rows in audit.entries(connection, after, page.upto):
        stand = unseen.pop(job_id, None)
        if stand is None:
            page.found += _orphans("timeline", [job_id], stands)
        else:
            page.found += holes(stand, rows, tries.get(job_id, NO_TRIES))
    for stand in unseen.values():
        page.found += holes(stand, (), tries.get(stand.job_id, NO_TRIES))
    await _check_files(connection, page, stands)
    return page


async def _check_files(connection: "asyncpg.Connection[Any]", page: Page, stands: Mapping[UUID, Stand]) -> None:
    """Read every file of a page through and hold it against its hash."""
    files = await audit.files(connection, page.after, page.upto)
    page.found += _orphans("artifacts", {job_id for job_id, _ in files}, stands)
    unread = dict(files)
    async for content in _read(connection, page):
        page.files += 1
        page.bytes += content.size
        file = unread.pop((content.job_id, content.name), None)
        if file is None:
            says = f"There are parts of a file {content.name}, and it has no such file."
            page.found.append(Discrepancy("orphan", f"job {content.job_id}", says))
        else:
            page.found += _compared(file, content)
    for file in unread.values():
        page.found += _compared(file, _Content(file.job_id, file.name))


@dataclass
class _Content:
    """A file as it is read: its parts as far as they are known."""

    job_id: UUID
    name: str
    size: int = 0
    declared: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, part: audit.Part) -> None:
        """Read a part."""
        self.size += len(part.body)
        self.declared += part.size
        self.digest.update(part.body)


async def _read(connection: "asyncpg.Connection[Any]", page: Page) -> AsyncIterator[_Content]:
    """Read the files of a page, one after the other."""
    content: _Content | None = None
    async for part in audit.parts(connection, page.after, page.upto):
        if content is None or (part.job_id, part.name) != (content.job_id, content.name):
            if content is not None:
                yield content
            content = _Content(part.job_id, part.name)
        content.add(part)
    if content is not None:
        yield content


def _compared(file: File, content: _Content) -> Collection[Discrepancy]:
    """Hold a complete file against what was declared when it was completed, and its parts against their own rows."""
    sha256 = content.digest.hexdigest()
    if not file.complete or (file.bytes, file.bytes, file.sha256) == (content.size, content.declared, sha256):
        return ()
    says = f"Its file {file.name} is {content.size} bytes with the hash {sha256}"
    was = f"it was completed with {file.bytes} bytes and the hash {file.sha256}"
    return (Discrepancy("file_changed", f"job {file.job_id}", f"{says}; {was}."),)


def _orphans(what: str, job_ids: Collection[UUID], stands: Mapping[UUID, Stand]) -> list[Discrepancy]:
    says = f"There are rows of it in {what}, and there is no such job."
    return [Discrepancy("orphan", f"job {job_id}", says) for job_id in job_ids if job_id not in stands]


def unfinished(states: Mapping[State, int]) -> dict[str, int]:
    """Say how many jobs go on, by state."""
    return {state.value: count for state, count in sorted(states.items()) if state not in FINISHED}


__all__ = ["FIRST", "PAGE", "Page", "about_how_many", "check", "unfinished"]
