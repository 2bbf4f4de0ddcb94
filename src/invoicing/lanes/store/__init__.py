"""Statements about pauses, workers and what waits, a file for each noun."""

from invoicing.lanes.store.accounts import accounts, keep_accounts, looked
from invoicing.lanes.store.pauses import Paused, active_pauses, database_time, pause, paused, resume, resume_after
from invoicing.lanes.store.policies import CHANGED, Override, lock_overrides, overrides, write_override
from invoicing.lanes.store.served import served
from invoicing.lanes.store.tallies import fold_tallies, tallies, waiting_of
from invoicing.lanes.store.workers import ALIVE_FOR, all_workers, beat, forget_dead, leave, register

__all__ = [
    "ALIVE_FOR",
    "CHANGED",
    "Override",
    "Paused",
    "accounts",
    "active_pauses",
    "all_workers",
    "beat",
    "database_time",
    "fold_tallies",
    "forget_dead",
    "keep_accounts",
    "leave",
    "lock_overrides",
    "looked",
    "overrides",
    "pause",
    "paused",
    "register",
    "resume",
    "resume_after",
    "served",
    "tallies",
    "waiting_of",
    "write_override",
]
