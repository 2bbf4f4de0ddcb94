"""The routes of webhooks, described."""

from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.headers import IDEMPOTENCY_KEY
from invoicing.kit.http.queries import PAGE_SIZE, PAGE_TOKEN
from invoicing.outbox.api.schemas import (
    DeliveryBody,
    DeliveryPage,
    WebhookBody,
    WebhookForm,
    WebhookList,
    WebhookWithSecret,
)
from invoicing.outbox.api.webhooks import PostOffice
from invoicing.outbox.model import MessageState

TAG = "webhooks"

_WEBHOOK = Parameter("path", "webhook_id", "The webhook.", {"type": "string", "format": "uuid"})
_DELIVERY = Parameter("path", "delivery_id", "The message.", {"type": "string", "format": "uuid"})
_STATE = Parameter(
    "query", "state", "Only messages in this state.", {"type": "string", "enum": [str(state) for state in MessageState]}
)
_ONE = "/v1/webhooks/{webhook_id:name}"


def add_webhooks(router: Router, office: PostOffice) -> None:
    """Add the routes."""
    _add_endpoints(router, office)
    _add_acts(router, office)
    _add_deliveries(router, office)


def _add_endpoints(router: Router, office: PostOffice) -> None:
    router.operation(
        "GET",
        "/v1/webhooks",
        office.list,
        name="listWebhooks",
        summary="List your webhooks",
        tag=TAG,
        answers={200: Given("The webhooks, without their secrets.", {"application/json": WebhookList})},
    )
    router.operation(
        "POST",
        "/v1/webhooks",
        office.add,
        name="addWebhook",
        summary="Add a webhook",
        text="It is told of the end of each of your jobs that ends from now on, and that names no other webhook. The "
        "answer holds the secret that messages are signed with (Standard Webhooks), this once.",
        tag=TAG,
        parameters=[IDEMPOTENCY_KEY],
        body=WebhookForm,
        answers={
            201: Given(
                "The webhook with its secret; or the one that this request made before, without it.",
                {"application/json": WebhookWithSecret},
                {
                    "Location": "The webhook's address.",
                    "Idempotency-Replayed": "`true` when an earlier request with this key made the webhook.",
                },
            )
        },
        problems=[400, 408, 409, 410, 413, 415, 422],
    )
    router.operation(
        "GET",
        _ONE,
        office.get,
        name="getWebhook",
        summary="Read a webhook",
        tag=TAG,
        parameters=[_WEBHOOK],
        answers={200: Given("The webhook, without its secret.", {"application/json": WebhookBody})},
        problems=[404],
    )
    router.operation(
        "DELETE",
        _ONE,
        office.remove,
        name="removeWebhook",
        summary="Remove a webhook",
        text="It is sent nothing more, not even what waits for it; its messages and its secret are gone for you.",
        tag=TAG,
        parameters=[_WEBHOOK],
        answers={204: Given("Removed.")},
        problems=[404],
    )


def _add_acts(router: Router, office: PostOffice) -> None:
    router.operation(
        "POST",
        f"{_ONE}:enable",
        office.enable,
        name="enableWebhook",
        summary="Let a webhook have messages again",
        text="After it answered 410, or at once when it failed and is well again. What waits is sent by itself.",
        tag=TAG,
        parameters=[_WEBHOOK],
        answers={200: Given("The webhook.", {"application/json": WebhookBody})},
        problems=[404],
    )
    router.operation(
        "POST",
        f"{_ONE}:rotate-secret",
        office.rotate,
        name="rotateWebhookSecret",
        summary="Give a webhook a new secret",
        text="The new secret is in the answer, this once. For 24 hours messages are signed with both; a second "
        "rotation in that time ends the first secret at once.",
        tag=TAG,
        parameters=[_WEBHOOK],
        answers={200: Given("The webhook with its new secret.", {"application/json": WebhookWithSecret})},
        problems=[404],
    )
    router.operation(
        "POST",
        f"{_ONE}:test",
        office.test,
        name="testWebhook",
        summary="Have a test message sent",
        text="A message of the type `webhook.test`, signed and retried as all others, and sent before them. While one "
        "waits it is sent instead of a further one.",
        tag=TAG,
        parameters=[_WEBHOOK],
        answers={202: Given("The message; follow it among the deliveries.", {"application/json": DeliveryBody})},
        problems=[404, 409],
    )


def _add_deliveries(router: Router, office: PostOffice) -> None:
    router.operation(
        "GET",
        f"{_ONE}/deliveries",
        office.deliveries,
        name="listDeliveries",
        summary="List the messages to a webhook, newest first, with every attempt",
        tag=TAG,
        parameters=[_WEBHOOK, _STATE, PAGE_SIZE, PAGE_TOKEN],
        answers={200: Given("A page of messages.", {"application/json": DeliveryPage})},
        problems=[400, 404],
    )
    router.operation(
        "POST",
        f"{_ONE}/deliveries/{{delivery_id:name}}:resend",
        office.resend,
        name="resendDelivery",
        summary="Have a message sent once more",
        text="Whatever became of it before: under the same id, with the same body, before all others, and with three "
        "more days to arrive. One that is being sent at this moment is left to that.",
        tag=TAG,
        parameters=[_WEBHOOK, _DELIVERY],
        answers={202: Given("The message.", {"application/json": DeliveryBody})},
        problems=[404, 409],
    )
