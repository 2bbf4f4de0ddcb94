"""The routes that our staff works with, and those that tell how the service did."""

from functools import partial

from invoicing.customers.api.admin import Office, add_admin
from invoicing.customers.api.limits import LimitsOffice, add_limits
from invoicing.diagnosis import words
from invoicing.diagnosis.api.calibration import Examiner, add_calibration
from invoicing.diagnosis.api.waits import Ledgers, add_waits
from invoicing.incidents import alerting
from invoicing.incidents import service as incidents
from invoicing.incidents.api.incidents import ControlRoom, add_incidents
from invoicing.jobs.agreements import Agreements
from invoicing.jobs.api.agreements import AgreementOffice, add_agreements
from invoicing.jobs.api.desk import Desk
from invoicing.jobs.api.holds import Inbox, add_holds
from invoicing.jobs.api.promises import Scoreboard, add_promises
from invoicing.jobs.api.rules import RulesOffice, add_rules
from invoicing.jobs.kinds import Kinds
from invoicing.kit.http.contract import Router
from invoicing.lanes.api.customers import Brake, add_brake
from invoicing.lanes.api.lanes import Tower, add_lanes
from invoicing.lanes.api.scheduling import Helm, add_scheduling
from invoicing.lanes.api.support import Bench, add_support
from invoicing.maintenance.api import Workshop, add_maintenance
from invoicing.rota.api.office import Roster
from invoicing.rota.api.routes import add_rota


def add_offices(router: Router, desk: Desk, kinds: Kinds, agreed: Agreements) -> None:
    """Add what steers lanes, acts on jobs, administers customers, and counts."""
    gate, engine = desk.gate, desk.engine
    add_lanes(router, Tower(gate, engine))
    add_scheduling(router, Helm(gate, engine))
    previewed = partial(incidents.explain, kinds=kinds, fresh=True)
    add_support(router, Bench(gate, engine, previewed, desk.languages, partial(agreed.calendar, kinds), words.retell))
    add_admin(router, Office(gate, engine))
    add_brake(router, Brake(gate, engine))
    add_limits(router, LimitsOffice(gate, engine))
    add_agreements(router, AgreementOffice(gate, engine, kinds))
    add_rules(router, RulesOffice(gate, engine, kinds))
    add_holds(router, Inbox(gate, engine))
    add_promises(router, Scoreboard(gate, engine))
    add_waits(router, Ledgers(gate, engine))
    add_calibration(router, Examiner(gate, engine))
    add_maintenance(router, Workshop(gate, engine))
    add_rota(router, Roster(gate, engine))
    add_incidents(router, ControlRoom(gate, engine, desk.languages, alerting.tell))
