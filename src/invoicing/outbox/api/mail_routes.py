"""The routes of mail addresses, described."""

from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.headers import IDEMPOTENCY_KEY
from invoicing.kit.http.queries import PAGE_SIZE, PAGE_TOKEN
from invoicing.outbox.api.mail_schemas import CodeForm, MailBody, MailForm, MailList
from invoicing.outbox.api.mails import MailRoom
from invoicing.outbox.api.schemas import DeliveryBody, DeliveryPage
from invoicing.outbox.model import MessageState

TAG = "mails"

_MAIL = Parameter("path", "mail_id", "The mail address.", {"type": "string", "format": "uuid"})
_DELIVERY = Parameter("path", "delivery_id", "The mail.", {"type": "string", "format": "uuid"})
_STATE = Parameter(
    "query", "state", "Only mails in this state.", {"type": "string", "enum": [str(state) for state in MessageState]}
)
_ONE = "/v1/mails/{mail_id:name}"


def add_mails(router: Router, room: MailRoom) -> None:
    """Add the routes."""
    _add_addresses(router, room)
    _add_confirming(router, room)
    _add_deliveries(router, room)


def _add_addresses(router: Router, room: MailRoom) -> None:
    router.operation(
        "GET",
        "/v1/mails",
        room.list,
        name="listMails",
        summary="List your mail addresses",
        tag=TAG,
        answers={200: Given("The addresses.", {"application/json": MailList})},
    )
    router.operation(
        "POST",
        "/v1/mails",
        room.add,
        name="addMail",
        summary="Add a mail address",
        text="It is sent a code, and nothing else until the code came back (`:confirm`). From then on it is told of "
        "jobs, in words; files are never attached.",
        tag=TAG,
        parameters=[IDEMPOTENCY_KEY],
        body=MailForm,
        answers={
            201: Given(
                "The address; or the one that this request made before.",
                {"application/json": MailBody},
                {
                    "Location": "Where to read it again.",
                    "Idempotency-Replayed": "`true` when an earlier request with this key added it.",
                },
            )
        },
        problems=[400, 408, 409, 410, 413, 415, 422],
    )
    router.operation(
        "GET",
        _ONE,
        room.get,
        name="getMail",
        summary="Read a mail address",
        tag=TAG,
        parameters=[_MAIL],
        answers={200: Given("The address.", {"application/json": MailBody})},
        problems=[404],
    )
    router.operation(
        "DELETE",
        _ONE,
        room.remove,
        name="removeMail",
        summary="Remove a mail address",
        text="It is sent nothing more, not even what waits for it.",
        tag=TAG,
        parameters=[_MAIL],
        answers={204: Given("Removed.")},
        problems=[404],
    )


def _add_confirming(router: Router, room: MailRoom) -> None:
    router.operation(
        "POST",
        f"{_ONE}:confirm",
        room.confirm,
        name="confirmMail",
        summary="Confirm a mail address by the code that it was sent",
        tag=TAG,
        parameters=[_MAIL],
        body=CodeForm,
        answers={200: Given("The address, confirmed.", {"application/json": MailBody})},
        problems=[400, 404, 408, 413, 415, 422],
    )
    router.operation(
        "POST",
        f"{_ONE}:send-code",
        room.send_code,
        name="sendMailCode",
        summary="Have a new code sent",
        text="The code before is void. One a minute, and five a day to one address, whoever asks.",
        tag=TAG,
        parameters=[_MAIL],
        answers={202: Given("The address.", {"application/json": MailBody})},
        problems=[404, 409],
    )


def _add_deliveries(router: Router, room: MailRoom) -> None:
    router.operation(
        "GET",
        f"{_ONE}/deliveries",
        room.deliveries,
        name="listMailDeliveries",
        summary="List the mails to an address, newest first, with every attempt",
        tag=TAG,
        parameters=[_MAIL, _STATE, PAGE_SIZE, PAGE_TOKEN],
        answers={200: Given("A page of mails.", {"application/json": DeliveryPage})},
        problems=[400, 404],
    )
    router.operation(
        "POST",
        f"{_ONE}/deliveries/{{delivery_id:name}}:resend",
        room.resend,
        name="resendMail",
        summary="Have a mail sent once more",
        text="Under the same Message-ID, before all others, and with three more days to be taken.",
        tag=TAG,
        parameters=[_MAIL, _DELIVERY],
        answers={202: Given("The mail.", {"application/json": DeliveryBody})},
        problems=[404, 409],
    )
