"""The web process assembled: rooms, routes, the edge, and a server that ends long answers when it is told to stop."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.convertors import StringConvertor, register_url_convertor

from invoicing.alerts import chatting
from invoicing.alerts.api.answers import Acknowledge, Answers
from invoicing.alerts.api.channels import Switchboard
from invoicing.alerts.api.routes import add_channels
from invoicing.alerts.wishes import Means
from invoicing.app import METADATA, load_kinds
from invoicing.app.application import Application
from invoicing.app.health import Ward, add_health
from invoicing.app.metrics import Meter, add_metrics
from invoicing.app.offices import add_offices
from invoicing.app.pages import Pages
from invoicing.app.status import Board, add_status
from invoicing.app.traffic import Traffic
from invoicing.customers.api.gate import Gate
from invoicing.customers.limits import Limiter
from invoicing.customers.service import Keys
from invoicing.diagnosis import service as diagnosis
from invoicing.diagnosis import words
from invoicing.diagnosis.api.why import Oracle, add_why
from invoicing.incidents import alerting
from invoicing.incidents import service as incidents
from invoicing.jobs import agreements, noting
from invoicing.jobs import service as ledger
from invoicing.jobs.accepting import Acceptor
from invoicing.jobs.agreements import Agreements
from invoicing.jobs.api.artifacts import Archive, add_artifacts
from invoicing.jobs.api.batch import BatchReception, add_batch
from invoicing.jobs.api.desk import Desk
from invoicing.jobs.api.estimate import Estimator, add_estimate, drafts_of
from invoicing.jobs.api.events import Teller, add_events
from invoicing.jobs.api.kinds import Catalogue, Normals, add_kinds
from invoicing.jobs.api.list import Lister, add_list
from invoicing.jobs.api.read import Reader, add_read
from invoicing.jobs.api.submit import Reception, add_submit
from invoicing.jobs.following import Followers
from invoicing.jobs.intake import Intake
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.noting import Notebook
from invoicing.jobs.rules import Rules
from invoicing.jobs.submission import BatchLine, Rulings, Submissions
from invoicing.jobs.tracing import close, traces_of
from invoicing.jobs.view import Explainer, Newcomer
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.egress import networks_of
from invoicing.kit.http.contract import Router, schemas_of
from invoicing.kit.http.languages import Languages
from invoicing.kit.listen import listening
from invoicing.kit.signal_box import SignalBox
from invoicing.lanes import admission
from invoicing.lanes.admission import Doorkeeper
from invoicing.lanes.prediction import Predictor, refreshed
from invoicing.lanes.signals import read_signals as read_lanes
from invoicing.outbox.api.mail_routes import add_mails
from invoicing.outbox.api.mails import MailRoom
from invoicing.outbox.api.routes import add_webhooks
from invoicing.outbox.api.webhooks import PostOffice
from invoicing.outbox.signals import read_signals as read_outbox
from invoicing.settings import Settings

_PATIENCE_S = 10.0
"""Seconds that a statement may take. All of them are short; a ledger that says nothing for so long is away, and callers
are told when to come again instead of being left to wait."""


class _Name(StringConvertor):
    """A step of a path that ends before a verb: `/v1/jobs/{job_id}:cancel`."""

    regex = "[^/:]+"


register_url_convertor("name", _Name())


def create_app(
    settings: Settings,
    *,
    load: Callable[[], Kinds] | None = None,
    engine: AsyncEngine | None = None,
    explain: Explainer | None = None,
    newcomer: Newcomer = diagnosis.just_accepted,
    normals: Normals = diagnosis.normal_times,
    acknowledge: Acknowledge | None = None,
) -> FastAPI:
    """Assemble the web application; it starts with its lifespan and can be used by any ASGI server.

    `load` gives the kinds, here and again in the child process that checks large requests, so it must be importable.
    """
    if settings.database_url is None:
        raise ValueError("the web process needs a database URL")
    load = load or partial(load_kinds, drills=settings.drills)
    engine = engine or make_engine(settings.database_url, name="invoicing-web", patience_s=_PATIENCE_S)
    followers = Followers()
    doorkeeper = Doorkeeper(engine)
    acceptor, intake = Acceptor(engine, doorkeeper), Intake(load)
    kinds = load()
    explain = explain or partial(incidents.explain, kinds=kinds)
    desk = Desk(Gate(Keys(engine), Limiter()), engine, explain, Languages(words.codes()), words.retell, Notebook())
    predictor, agreed, rules = Predictor(), Agreements(), Rules()
    traffic, traces = Traffic(), traces_of("web", settings.traces)
    reception = Reception(
        desk,
        Submissions(kinds),
        acceptor,
        intake,
        Rulings(predictor.place, agreed.promise, rules.terms),
        newcomer,
        settings.largest_body,
        traces=traces,
    )
    router = Router()
    add_submit(router, reception)
    add_list(router, Lister(desk))
    add_read(router, Reader(desk, followers))
    add_why(router, Oracle(desk, kinds))
    add_events(router, Teller(desk, followers))
    add_artifacts(router, Archive(desk))
    add_batch(router, BatchReception(reception, Submissions(kinds, BatchLine)))
    suppose = partial(diagnosis.suppose, kinds=kinds)
    add_estimate(router, Estimator(reception, kinds, suppose, doorkeeper.foretell, drafts_of(kinds)))
    add_kinds(router, Catalogue(desk, kinds, normals, predictor.correction, agreed.promise))
    add_webhooks(router, PostOffice(desk.gate, engine, networks_of(settings.egress_allow)))
    add_mails(router, MailRoom(desk.gate, engine, open=settings.smtp_url is not None))
    add_channels(
        router,
        Switchboard(desk.gate, engine, _means(settings)),
        Answers(engine, acknowledge or partial(_acknowledged, engine)),
    )
    add_offices(router, desk, kinds, agreed)
    add_health(router, Ward(engine, METADATA))
    add_status(router, Board(engine, desk.languages))
    boxes = SignalBox(engine, read_lanes), SignalBox(engine, read_outbox), SignalBox(engine, ledger.holdups)
    add_metrics(router, Meter(desk.gate, *boxes, traffic, reception.outcomes, settings.metrics_token))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            stack.callback(intake.close)
            stack.push_async_callback(close, traces)
            await stack.enter_async_context(
                listening(settings.database_url or "", [ledger.JOBS], followers.told, missed=followers.tell_all)
            )
            await stack.enter_async_context(refreshed(predictor, engine))
            await stack.enter_async_context(agreements.refreshed(agreed, engine))
            await stack.enter_async_context(agreements.refreshed(rules, engine))
            await stack.enter_async_context(admission.refreshed(doorkeeper))
            await stack.enter_async_context(noting.kept(desk.notebook, engine))
            await acceptor.start()
            stack.push_async_callback(acceptor.stop)
            app.state.followers, app.state.doorkeeper, app.state.agreements = followers, doorkeeper, agreed
            app.state.notebook, app.state.rules = desk.notebook, rules
            yield
            followers.end()

    return _application(router, traffic, lifespan)


async def _acknowledged(engine: AsyncEngine, incident_id: UUID, by: str) -> bool:
    async with transaction(engine) as session:
        return await incidents.acknowledge(session, incident_id, by, alerting.tell)


def _means(settings: Settings) -> Means:
    """Say what alerts can be sent with, and where to."""
    return Means(networks_of(settings.egress_allow), mails=settings.smtp_url is not None, chats=chatting.available())


def _application(router: Router, traffic: Traffic, lifespan: Any) -> FastAPI:  # noqa: ANN401 - FastAPI's own type of it is not exported
    app = Application(
        router,
        traffic,
        title="invoicing",
        version=version("invoicing"),
        summary="Asynchronous e-invoices and back-office jobs.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # its page is made of scripts from elsewhere
        redoc_url=None,
    )
    app.add_route("/docs", Pages(partial(_described, app, router)).docs, include_in_schema=False)
    app.openapi = partial(_described, app, router)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def _described(app: FastAPI, router: Router) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schema["components"] = {
            "schemas": dict(sorted(schemas_of(router.models).items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        }
        app.openapi_schema = schema
    return app.openapi_schema


class Server(uvicorn.Server):
    """Lets go of who waits before it waits for them."""

    async def shutdown(self, sockets: Any = None) -> None:  # noqa: ANN401 - as uvicorn has it
        """End long polls and event streams, then everything else."""
        app = self.config.app
        if isinstance(app, FastAPI):
            app.state.followers.end()
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Run the web process until it is told to stop."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks for the address or the scheme of the client
        log_config=None,
        timeout_graceful_shutdown=20,
        backlog=2048,
    )
    Server(config).run()
