"""The routes of channels and of acknowledgements, described."""

from invoicing.alerts.api.answers import Answers
from invoicing.alerts.api.channels import Switchboard
from invoicing.alerts.api.schemas import (
    AcknowledgedBody,
    AlertDeliveryBody,
    AlertDeliveryPage,
    ChannelBody,
    ChannelForm,
    ChannelList,
    ChannelWithSecret,
    TrialBody,
    TrustForm,
)
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.headers import IDEMPOTENCY_KEY
from invoicing.kit.http.queries import PAGE_SIZE, PAGE_TOKEN
from invoicing.outbox.model import MessageState

TAG = "alerts"

_ID = {"type": "string", "format": "uuid"}
_CHANNEL = Parameter("path", "channel_id", "The channel.", _ID)
_DELIVERY = Parameter("path", "delivery_id", "The message.", _ID)
_STATE = Parameter(
    "query", "state", "Only messages in this state.", {"type": "string", "enum": [str(state) for state in MessageState]}
)
_PREFER = Parameter("header", "Prefer", "`wait=30`: how many seconds to wait for the outcome, 10 when left out.")
_LINK = (
    Parameter("path", "incident_id", "The incident.", _ID),
    Parameter("query", "channel", "The channel that the link was sent to.", _ID, required=True),
    Parameter("query", "until", "How long the link is good (seconds since 1970).", {"type": "integer"}, required=True),
    Parameter("query", "signature", "Ours.", {"type": "string", "maxLength": 100}, required=True),
)
_PAGE = {"text/html": {"type": "string"}}
_ONE = "/v1/channels/{channel_id:name}"
_ACKNOWLEDGEMENT = "/v1/alerts/{incident_id:name}/acknowledgement"


def add_channels(router: Router, switchboard: Switchboard, answers: Answers) -> None:
    """Add the routes."""
    _add_channels(router, switchboard)
    _add_acts(router, switchboard)
    _add_deliveries(router, switchboard)
    _add_answers(router, answers)


def _add_channels(router: Router, switchboard: Switchboard) -> None:
    router.operation(
        "GET",
        "/v1/channels",
        switchboard.list,
        name="listChannels",
        summary="List where alerts go (ops)",
        tag=TAG,
        answers={200: Given("The channels, without their secrets.", {"application/json": ChannelList})},
    )
    router.operation(
        "POST",
        "/v1/channels",
        switchboard.add,
        name="addChannel",
        summary="Add a channel that alerts go to (ops)",
        text="It is told at once of every incident that is not over and bad enough. What is secret (keys, the URL of a "
        "chat) is not shown again.",
        tag=TAG,
        parameters=[IDEMPOTENCY_KEY],
        body=ChannelForm,
        answers={
            201: Given(
                "The channel; of a webhook with its secret, unless this request made it before.",
                {"application/json": ChannelWithSecret},
                {
                    "Location": "The channel's address.",
                    "Idempotency-Replayed": "`true` when an earlier request with this key made the channel.",
                },
            )
        },
        problems=[400, 408, 409, 410, 413, 415, 422],
    )
    router.operation(
        "GET",
        _ONE,
        switchboard.get,
        name="getChannel",
        summary="Read a channel (ops)",
        tag=TAG,
        parameters=[_CHANNEL],
        answers={200: Given("The channel, without its secrets.", {"application/json": ChannelBody})},
        problems=[404],
    )
    router.operation(
        "DELETE",
        _ONE,
        switchboard.remove,
        name="removeChannel",
        summary="Remove a channel (ops)",
        text="It is told nothing more, not even what waits; links that were sent to it acknowledge no more. The one "
        "of the environment is not removed: it would come back.",
        tag=TAG,
        parameters=[_CHANNEL],
        answers={204: Given("Removed.")},
        problems=[404, 409],
    )


def _add_acts(router: Router, switchboard: Switchboard) -> None:
    router.operation(
        "POST",
        f"{_ONE}:trust",
        switchboard.trust,
        name="trustChannel",
        summary="Let acknowledgements come back from PagerDuty (ops)",
        text="The secret is what PagerDuty shows when a webhook V3 to `/v1/channels/{channel_id}/pagerduty` is made.",
        tag=TAG,
        parameters=[_CHANNEL],
        body=TrustForm,
        answers={200: Given("The channel.", {"application/json": ChannelBody})},
        problems=[400, 404, 408, 409, 413, 415, 422],
    )
    router.operation(
        "POST",
        f"{_ONE}:test",
        switchboard.test,
        name="testChannel",
        summary="Send a test to a channel and see what came of it (ops)",
        text="It takes the way that every alert takes. In Alertmanager it ends by itself after a minute; in PagerDuty "
        "it is resolved at once.",
        tag=TAG,
        parameters=[_CHANNEL, _PREFER],
        answers={200: Given("What came of it within the time.", {"application/json": TrialBody})},
        problems=[404],
    )


def _add_deliveries(router: Router, switchboard: Switchboard) -> None:
    router.operation(
        "GET",
        f"{_ONE}/deliveries",
        switchboard.deliveries,
        name="listAlertDeliveries",
        summary="List the messages to a channel, newest first, with every attempt (ops)",
        tag=TAG,
        parameters=[_CHANNEL, _STATE, PAGE_SIZE, PAGE_TOKEN],
        answers={200: Given("A page of messages.", {"application/json": AlertDeliveryPage})},
        problems=[400, 404],
    )
    router.operation(
        "POST",
        f"{_ONE}/deliveries/{{delivery_id:name}}:resend",
        switchboard.resend,
        name="resendAlertDelivery",
        summary="Have a message sent to a channel once more (ops)",
        text="The last message of an incident alone: to repeat an earlier one would be untrue.",
        tag=TAG,
        parameters=[_CHANNEL, _DELIVERY],
        answers={202: Given("The message.", {"application/json": AlertDeliveryBody})},
        problems=[404, 409],
    )


def _add_answers(router: Router, answers: Answers) -> None:
    router.operation(
        "GET",
        _ACKNOWLEDGEMENT,
        answers.page,
        name="askAcknowledgement",
        summary="Show what a link in an alert would acknowledge",
        text="Nothing happens until the button on the page is pressed.",
        tag=TAG,
        parameters=_LINK,
        answers={200: Given("A page with a button.", _PAGE)},
        problems=[404, 503],
        keyed=False,
    )
    router.operation(
        "POST",
        _ACKNOWLEDGEMENT,
        answers.press,
        name="acknowledgeByLink",
        summary="Acknowledge an incident by the link in an alert",
        tag=TAG,
        parameters=_LINK,
        answers={200: Given("Whether it was taken.", {"application/json": AcknowledgedBody, **_PAGE})},
        problems=[404, 503],
        keyed=False,
    )
    router.operation(
        "POST",
        f"{_ONE}/pagerduty",
        answers.pagerduty,
        name="hearPagerDuty",
        summary="Be told by PagerDuty that somebody acknowledged",
        text="The target of a webhook V3 in PagerDuty, verified by `X-PagerDuty-Signature`; other events than "
        "`incident.acknowledged` are taken and change nothing.",
        tag=TAG,
        parameters=[
            _CHANNEL,
            Parameter(
                "header", "X-PagerDuty-Signature", "`v1=` and an HMAC-SHA256 in hexadecimal; several with commas."
            ),
        ],
        body={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        answers={204: Given("Taken.")},
        problems=[403, 404, 408, 413, 503],
        keyed=False,
    )
