"""Mail addresses: added, confirmed, listed, removed; their mails listed and resent."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.kit.clock import now
from invoicing.kit.cursor import token_of
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.forms import form
from invoicing.kit.http.headers import idempotency_key
from invoicing.kit.http.queries import page_size_of
from invoicing.kit.problems import Problem
from invoicing.outbox import addresses
from invoicing.outbox.addresses import Wish
from invoicing.outbox.api.mail_schemas import CodeForm, MailForm
from invoicing.outbox.api.paging import continued, id_in, state_of
from invoicing.outbox.api.views import delivery_view, mail_view
from invoicing.outbox.mailing import MOST_GUESSES
from invoicing.outbox.service import tenant


@dataclass(frozen=True)
class MailRoom:
    """Where customers look after their mail addresses."""

    gate: Gate
    engine: AsyncEngine
    open: bool
    """Whether this service sends mails at all."""

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/mails`."""
        principal = await self.gate.customer(request)
        async with self.engine.connect() as session:
            found = await addresses.addresses_of(session, tenant(principal))
        return answer({"items": [mail_view(one) for one in found], "next_page_token": None})

    async def add(self, request: Request) -> Response:
        """Answer `POST /v1/mails`."""
        principal = await self.gate.customer(request)
        key = idempotency_key(request.headers.get("idempotency-key"))
        asked = await form(request, MailForm)
        self._refuse_where_none_are_sent()
        wish = Wish(asked.address, asked.language, asked.events and sorted(set(asked.events)))
        async with transaction(self.engine) as session:
            added, again = await addresses.add(session, principal, wish, key, now())
        headers = {"Location": f"/v1/mails/{added.id}", **({"Idempotency-Replayed": "true"} if again else {})}
        return answer(mail_view(added), 201, headers)

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/mails/{mail_id}`."""
        principal = await self.gate.customer(request)
        async with self.engine.connect() as session:
            return answer(mail_view(await addresses.get(session, principal, _mail_id(request))))

    async def remove(self, request: Request) -> Response:
        """Answer `DELETE /v1/mails/{mail_id}`."""
        principal = await self.gate.customer(request)
        async with transaction(self.engine) as session:
            await addresses.remove(session, principal, _mail_id(request))
        return Response(status_code=204)

    async def confirm(self, request: Request) -> Response:
        """Answer `POST /v1/mails/{mail_id}:confirm`."""
        principal, mail_id = await self.gate.customer(request), _mail_id(request)
        async with self.engine.connect() as session:
            await addresses.get(session, principal, mail_id)
        asked = await form(request, CodeForm)
        async with transaction(self.engine) as session:
            confirmed = await addresses.try_code(session, principal, mail_id, asked.code)
            found = await addresses.get(session, principal, mail_id)
        if not confirmed:  # said after the commit: a wrong guess counts
            raise Problem(
                "bad_input",
                f"This is not the code, or it is over: each is good for {MOST_GUESSES} tries in 24 hours.",
                field="/code",
                remedy="Read the newest mail; POST /v1/mails/{id}:send-code has another sent.",
            )
        return answer(mail_view(found))

    async def send_code(self, request: Request) -> Response:
        """Answer `POST /v1/mails/{mail_id}:send-code`."""
        principal, mail_id = await self.gate.customer(request), _mail_id(request)
        async with self.engine.connect() as session:
            await addresses.get(session, principal, mail_id)
        self._refuse_where_none_are_sent()
        async with transaction(self.engine) as session:
            found = await addresses.send_code(session, principal, mail_id, now())
        return answer(mail_view(found), 202)

    async def deliveries(self, request: Request) -> Response:
        """Answer `GET /v1/mails/{mail_id}/deliveries`."""
        principal, mail_id = await self.gate.customer(request), _mail_id(request)
        owner = f"{tenant(principal)}:{mail_id}"
        size, state, before = page_size_of(request), state_of(request), None
        token = request.query_params.get("page_token")
        if token:
            state, before = continued(owner, token, state)
        async with self.engine.connect() as session:
            address, found = await addresses.page(
                session, principal, mail_id, before=before, limit=size + 1, state=state
            )
        shown, moment = found[:size], now()
        more = token_of(owner, {"state": state, "before": shown[-1].id}) if len(found) > size else None
        items: list[dict[str, Any]] = [delivery_view(one, address, moment) for one in shown]
        return answer({"items": items, "next_page_token": more})

    async def resend(self, request: Request) -> Response:
        """Answer `POST /v1/mails/{mail_id}/deliveries/{delivery_id}:resend`."""
        principal, mail_id = await self.gate.customer(request), _mail_id(request)
        async with transaction(self.engine) as session:
            address = await addresses.get(session, principal, mail_id)
            message_id = id_in(request, "delivery_id", addresses.no_such_mail)
            delivery = await addresses.resend(session, principal, mail_id, message_id)
        return answer(delivery_view(delivery, address, now()), 202)

    def _refuse_where_none_are_sent(self) -> None:
        if not self.open:
            raise addresses.no_mails_here()


def _mail_id(request: Request) -> UUID:
    return id_in(request, "mail_id", addresses.no_such_address)
