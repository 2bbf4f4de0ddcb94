"""The payment box: what to pay, when, where to, and under which reference; or how the money comes back."""

from collections.abc import Iterator

from invoicing.invoices.model import Account, DocumentType, Header, Payment, Totals
from invoicing.invoices.print import figures
from invoicing.invoices.print.bank_code import bank_code
from invoicing.invoices.print.language import Language
from invoicing.invoices.print.view import Fact, PaymentBox


def payment_box(header: Header, totals: Totals, number: str, language: Language) -> PaymentBox:
    """Choose between a request to pay, an announced direct debit, a credit, and nothing to do at all."""
    money = figures.money(totals.payable.copy_abs(), header.currency, language.format)
    if _is_refund(header, totals):
        return _announcement("refund", language.say("refund_text", amount=money), header, language)
    if totals.payable == 0:
        return _announcement("payment", language.say("nothing_to_pay"), header, language)
    payment = header.payment
    code = bank_code(header, totals, _remittance(payment, number))
    return PaymentBox(
        heading=language.say("payment"),
        request=_request(header, money, language),
        facts=tuple(_facts(payment, number, language)) if payment else (),
        terms=_terms(payment),
        qr=code,
        qr_caption=language.say("scan") if code else "",
    )


def _is_refund(header: Header, totals: Totals) -> bool:
    return totals.payable < 0 or (header.type is DocumentType.CREDIT_NOTE and totals.payable != 0)


def _announcement(heading: str, text: str, header: Header, language: Language) -> PaymentBox:
    return PaymentBox(language.say(heading), text, (), _terms(header.payment), "", "")


def _request(header: Header, money: str, language: Language) -> str:
    if header.payment and header.payment.direct_debit:
        return language.say("collect", amount=money, mandate=header.payment.direct_debit.mandate)
    if header.due_date:
        return language.say("pay_by", amount=money, date=figures.day(header.due_date, language.format))
    return language.say("pay", amount=money)


def _facts(payment: Payment, number: str, language: Language) -> Iterator[Fact]:
    if payment.direct_debit:
        debited = payment.direct_debit.debited_iban
        yield from _known(
            language, ("debited", debited and figures.iban(debited)), ("creditor", payment.direct_debit.creditor)
        )
    else:
        for account in payment.accounts:
            yield from _account(account, language)
    yield Fact(language.say("remittance"), _remittance(payment, number))


def _account(account: Account, language: Language) -> Iterator[Fact]:
    return _known(
        language,
        ("account_holder", account.name),
        ("iban", account.iban and figures.iban(account.iban)),
        ("account", account.number),
        ("bic", account.bic),
    )


def _known(language: Language, *facts: tuple[str, str | None]) -> Iterator[Fact]:
    return (Fact(language.say(word), value) for word, value in facts if value)


def _remittance(payment: Payment | None, number: str) -> str:
    return (payment and payment.remittance) or number


def _terms(payment: Payment | None) -> str:
    return "\n".join(part for part in (payment.means_text, payment.terms) if part) if payment else ""
