"""What jobs will take, asked for every request: the models in memory, read anew every few seconds as far as changed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import exp
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.model import Correction, Priority
from invoicing.jobs.submission import Placed
from invoicing.kit.bell import Bell
from invoicing.kit.db import Session, is_away, url_of
from invoicing.kit.listen import listening
from invoicing.lanes import learned
from invoicing.lanes.learned import Learned, Of
from invoicing.lanes.model import POLICY
from invoicing.lanes.model.sizes import (
    NOBODY,
    NOTHING,
    CustomerModel,
    KindModel,
    Line,
    Seen,
    deviation,
    factor_at,
    predict,
)
from invoicing.lanes.policies import policy_for

log = logging.getLogger(__name__)

_REFRESH_EVERY_S = 2.0

_GATHER_S = 0.05
"""What is learned within so long is read together."""


class Predictor:
    """Corrects what kinds estimate; knows nothing until it is refreshed, and then believes the kinds."""

    def __init__(self) -> None:
        """Begin with nothing learned, and the policy as it comes."""
        self.policy = POLICY
        self._kinds: dict[str, KindModel] = {}
        self._customers: dict[Of, Learned] = {}
        self._late: dict[Of, list[Seen]] = {}
        self._asked: dict[Of, tuple[Line, float]] = {}
        """What was asked for since the last refresh: the kind's line, and the customer's deviation from it."""
        self._read = learned.BEGINNING

    def predicted(self, kind: str, customer_id: UUID, estimated_s: float) -> float:
        """Correct an estimate (seconds)."""
        of = (kind, customer_id)
        if of not in self._asked:
            model, own, late = self._of(kind, customer_id)
            self._asked[of] = model.line(), deviation(model, own, late)
        return estimated_s * factor_at(*self._asked[of], estimated_s)

    def place(self, kind: str, customer_id: UUID, estimated_s: float, priority: Priority) -> Placed:
        """Decide where a new job goes, by what it is predicted to take and by the policy that holds."""
        predicted_s = self.predicted(kind, customer_id, estimated_s)
        size = self.policy.cutoffs.classify(predicted_s)
        return Placed(size, self.policy.due_after(priority, size), predicted_s)

    def correction(self, kind: str, customer_id: UUID) -> Correction | None:
        """Tell what was learned about a kind's estimates, at a usual size; None while that is nothing."""
        model = self._kinds.get(kind, NOTHING)
        if not model.jobs:
            return None
        usual_s = exp(model.usual_x)
        anybodys = predict(model, NOBODY, usual_s)
        model, customer, late = self._of(kind, customer_id)
        own = predict(model, customer, usual_s, late)
        return Correction(
            jobs=model.jobs,
            p05=anybodys.p05_s / usual_s,
            p50=anybodys.seconds / usual_s,
            p95=anybodys.p95_s / usual_s,
            exponent=1.0 + model.slope,
            own_jobs=own.own_jobs,
            own_p50=own.seconds / usual_s,
        )

    async def refresh(self, session: Session) -> None:
        """Take over what was learned since the last time, what runs too long, and the policy that holds."""
        more = True
        while more:
            page = await learned.changed_models(session, self._read)
            self._kinds.update(page.kinds)
            self._customers.update(page.customers)
            self._read, more = page.after, page.full
        late: dict[Of, list[Seen]] = {}
        for one in (await learned.memory(session)).late.values():
            late.setdefault(one.of, []).append(one.seen)
        self._late = late
        self._asked.clear()
        self.policy = await policy_for(session)

    def _of(self, kind: str, customer_id: UUID) -> tuple[KindModel, CustomerModel, Sequence[Seen]]:
        of = (kind, customer_id)
        own = self._customers.get(of)
        customer = NOBODY if own is None else learned.customer_model(own)
        return self._kinds.get(kind, NOTHING), customer, self._late.get(of, ())


@asynccontextmanager
async def refreshed(
    predictor: Predictor, engine: AsyncEngine, every_s: float = _REFRESH_EVERY_S
) -> AsyncIterator[None]:
    """Refresh a predictor now and then while the block runs, and whenever it is told that jobs run too long.

    Without the ledger it goes on with what it knows.
    """
    bell = Bell(_GATHER_S)
    async with listening(url_of(engine), [learned.LEARNED], lambda _channel, _payload: bell.ring(), missed=bell.ring):
        wait = partial(bell.wait, every_s)
        task = asyncio.create_task(_refresh_for_ever(predictor, engine, wait), name="predictions")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _refresh_for_ever(predictor: Predictor, engine: AsyncEngine, wait: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            async with engine.connect() as session:
                await predictor.refresh(session)
        except Exception as error:
            if is_away(error):
                log.warning("cannot read what was learned: %s", error, extra={"action": "predictions.not_refreshed"})
            else:
                log.exception("cannot read what was learned", extra={"action": "predictions.not_refreshed"})
        await wait()
