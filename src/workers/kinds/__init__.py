"""The kinds of jobs, one file each: a module here that has a `KIND` is offered."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from invoicing.jobs.kinds import JobKind


def builtin() -> Iterator[JobKind]:
    """Import every module of this folder and give its kind."""
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(import_module(f"{__name__}.{module.name}"), "KIND", None)
        if isinstance(kind, JobKind):
            yield kind
