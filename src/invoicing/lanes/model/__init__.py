"""The rules of lanes: classes, quotas, order, fairness and giving way; pure, over plain values."""

from invoicing.lanes.model.accounts import at_limit
from invoicing.lanes.model.lane import BY_NAME, BY_PARTS, LANES, SIZES, Lane, larger, smaller
from invoicing.lanes.model.policy import POLICY, Cutoffs, Policy
from invoicing.lanes.model.quota import Left, fits, free_for, left_of, quotas, used
from invoicing.lanes.model.running import Running
from invoicing.lanes.model.scheduler import Scheduler
from invoicing.lanes.model.tally import Tally
from invoicing.lanes.model.waiting import Queue, Waiting
from invoicing.lanes.model.workers import Pause, Worker, holds_back
from invoicing.lanes.model.yielding import asked_to_give_way, gives_way_at, order_after_turn, outgrown

__all__ = [
    "BY_NAME",
    "BY_PARTS",
    "LANES",
    "POLICY",
    "SIZES",
    "Cutoffs",
    "Lane",
    "Left",
    "Pause",
    "Policy",
    "Queue",
    "Running",
    "Scheduler",
    "Tally",
    "Waiting",
    "Worker",
    "asked_to_give_way",
    "at_limit",
    "fits",
    "free_for",
    "gives_way_at",
    "holds_back",
    "larger",
    "left_of",
    "order_after_turn",
    "outgrown",
    "quotas",
    "smaller",
    "used",
]
