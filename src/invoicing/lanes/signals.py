"""Reading what a scaler needs to know, at a cost that does not grow with the backlog."""

from invoicing.jobs import service as ledger
from invoicing.kit.db import Session
from invoicing.lanes import store
from invoicing.lanes.model import BY_NAME, Lane
from invoicing.lanes.model.signals import Signals, signals_of
from invoicing.lanes.policies import all_policies
from invoicing.lanes.store.totals import totals


async def read_signals(session: Session) -> Signals:
    """Read how all lanes stand and who serves them."""
    policies = await all_policies(session)
    return signals_of(
        await totals(session),
        {Lane(*key): count for key, count in (await ledger.running(session)).items()},
        await store.all_workers(session),
        frozenset(BY_NAME[pause.lane] for pause in await store.active_pauses(session)),
        policies.fleet,
        policies.of,
    )
