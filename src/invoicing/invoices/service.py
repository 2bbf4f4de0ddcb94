"""Numbering an invoice once, and declaring it issued."""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from invoicing.invoices import store
from invoicing.invoices.model import Header
from invoicing.invoices.store import Chunk, Numbering, add_chunk, chunks_of, mark_issued, number_of, remove_issued
from invoicing.kit.db import Session


def numbering(job_id: UUID, customer_id: UUID, header: Header, payable: Decimal, rules: Mapping[str, str]) -> Numbering:
    """Say what an invoice is numbered under: its customer, its seller and its series."""
    preceding = header.preceding_invoice
    return Numbering(
        job_id=job_id,
        customer_id=customer_id,
        seller=seller_of(header),
        series=header.series,
        type=header.type.value,
        currency=header.currency,
        payable=payable,
        preceding_number=None if preceding is None else preceding.number,
        rules=rules,
    )


def seller_of(header: Header) -> str:
    """Identify a seller: by its VAT id, else its legal registration, else its name and country."""
    seller = header.seller
    if seller.vat_id:
        return f"vat:{seller.vat_id}"
    if seller.legal_id:
        return f"legal:{seller.legal_id.scheme or ''}:{seller.legal_id.value}"
    named = f"{seller.name}\0{seller.address.country}"
    return f"name:{hashlib.sha256(named.encode()).hexdigest()}"


async def number(session: Session, wanted: Numbering) -> str:
    """Give the invoice its number: the one it has, else the next of its series, without gaps."""
    had = await store.number_of(session, wanted.job_id)
    if had is not None:
        return had
    sequence = await store.next_in_series(session, wanted)
    given = f"{wanted.series}-{sequence:06d}"
    await store.add_invoice(session, wanted, sequence, given)
    return given


__all__ = [
    "Chunk",
    "Numbering",
    "add_chunk",
    "chunks_of",
    "mark_issued",
    "number",
    "number_of",
    "numbering",
    "remove_issued",
    "seller_of",
]
