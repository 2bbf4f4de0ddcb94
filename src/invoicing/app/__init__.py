"""The service assembled: tables, kinds, engine and web application."""

from collections.abc import Iterable
from importlib.metadata import entry_points
from types import MappingProxyType

from invoicing.alerts import tables as _alerts
from invoicing.customers import tables as _customers
from invoicing.diagnosis import tables as _diagnosis
from invoicing.incidents import tables as _incidents
from invoicing.invoices import tables as _invoices
from invoicing.jobs import hold_tables as _holds
from invoicing.jobs import outside as _outside
from invoicing.jobs import tables as _jobs
from invoicing.jobs.kinds import JobKind, Kinds
from invoicing.kit.db import metadata
from invoicing.lanes import tables as _lanes
from invoicing.maintenance import tables as _maintenance
from invoicing.outbox import tables as _outbox
from invoicing.rota import tables as _rota

METADATA = metadata
"""Every table of the service; importing the rooms' tables fills it."""

ROOMS_WITH_TABLES = (
    _customers,
    _outbox,
    _alerts,
    _jobs,
    _outside,
    _holds,
    _lanes,
    _diagnosis,
    _invoices,
    _rota,
    _maintenance,
    _incidents,
)


def load_kinds(*, drills: bool) -> Kinds:
    """Collect the kinds of jobs from the entry points `invoicing.job_kinds`; two of one name are refused.

    An entry point is a kind, or a function that returns kinds. The kind `drill` is offered only for rehearsals.
    """
    found: dict[str, JobKind] = {}
    for entry in entry_points(group="invoicing.job_kinds"):
        offered = entry.load()
        for kind in _kinds_of(offered() if callable(offered) else offered):
            if kind.name in found:
                raise ValueError(f"entry point {entry.name!r} offers the kind {kind.name!r} a second time")
            found[kind.name] = kind
    if not drills:
        found.pop("drill", None)
    return MappingProxyType(found)


def _kinds_of(offered: JobKind | Iterable[JobKind]) -> Iterable[JobKind]:
    return (offered,) if isinstance(offered, JobKind) else offered
