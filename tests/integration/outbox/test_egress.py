"""Requests go to the address that was judged, over TLS that was verified, and come back in bounded time and size."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

import pytest
import trustme

from invoicing.kit.egress import Egress, EgressError, Network, networks_of

from .receiver import OK, Got, receiving, status

HERE = networks_of("127.0.0.0/8")
NAME = "hooks.example.com"


class Names:
    """A resolver whose answers are given one after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def egress(names: Names, allowed: Sequence[Network] = HERE, **more: object) -> Egress:
    return Egress(allowed=allowed, resolver=names, **more)  # type: ignore[arg-type]  # passed on


async def refused(egress: Egress, url: str) -> EgressError:
    with pytest.raises(EgressError) as error:
        await egress.post(url, {}, b"{}")
    return error.value


async def test_the_name_is_verified_and_told_though_the_connection_goes_to_an_address(authority: trustme.CA) -> None:
    told: list[str | None] = []
    context = serving(authority, NAME)
    context.sni_callback = lambda _socket, name, _context: told.append(name)
    async with receiving(tls=context) as receiver:
        names = Names(["127.0.0.1"])
        sender = egress(names, context=trusting(authority))
        reply = await sender.post(f"https://{NAME}:{receiver.port}/in?a=1", {"x-mine": "yes"}, b'{"a":1}')
    (got,) = receiver.got
    assert (reply.status, reply.cut_off, got.path, got.body) == (200, False, "/in?a=1", b'{"a":1}')
    assert (got.headers["host"], got.headers["x-mine"]) == (f"{NAME}:{receiver.port}", "yes")
    assert told == [NAME]
    assert names.asked == [NAME]


async def test_a_certificate_for_another_name_or_of_nobody_known_is_refused(authority: trustme.CA) -> None:
    async with receiving(tls=serving(authority, "other.example.com", "127.0.0.1")) as receiver:
        url = f"https://{NAME}:{receiver.port}/"
        wrong_name = await refused(egress(Names(["127.0.0.1"]), context=trusting(authority)), url)
        unknown = await refused(egress(Names(["127.0.0.1"])), url)
    assert (wrong_name.code, unknown.code) == ("tls", "tls")
    assert "certificate" in str(wrong_name)
    assert receiver.got == []


async def test_a_name_that_answers_differently_the_second_time_leads_nowhere_else(authority: trustme.CA) -> None:
    async with receiving(tls=serving(authority, NAME)) as receiver:
        names = Names(["127.0.0.1"], ["127.9.9.9"])
        sender = egress(names, context=trusting(authority))
        assert (await sender.post(f"https://{NAME}:{receiver.port}/", {}, b"{}")).status == 200
        assert len(names.asked) == 1, "resolved once: there is no second answer to be fooled by"


async def test_a_public_name_that_turns_private_is_refused_before_any_connection() -> None:
    async with receiving() as receiver:
        names = Names(["127.0.0.1"])
        error = await refused(egress(names, allowed=()), f"https://{NAME}:{receiver.port}/")
    assert error.code == "address_not_allowed"
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%lo"],
        ["2002:7f00:1::"],
    ],
)
async def test_one_private_address_refuses_the_name_with_all_its_others(addresses: list[str]) -> None:
    assert (await refused(egress(Names(addresses), allowed=()), f"https://{NAME}/")).code == "address_not_allowed"


async def test_plain_http_leaves_no_allowed_network() -> None:
    assert (await refused(egress(Names(["8.8.8.8"])), f"http://{NAME}/")).code == "address_not_allowed"


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with receiving() as inside, receiving(status(302, f"Location: {inside.url}")) as receiver:
        reply = await egress(Names(["127.0.0.1"])).post(receiver.url, {}, b"{}")
    assert reply.status == 302
    assert inside.connections == 0


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await egress(Names(["127.0.0.1"])).post(receiver.url, {}, b"{}")).status == 200
    assert proxy.connections == 0


async def test_an_answer_without_end_is_read_to_the_cap_and_left() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"a" * 4_000_000
    async with receiving(endless) as receiver:
        reply = await egress(Names(["127.0.0.1"])).post(receiver.url, {}, b"{}")
    assert reply.status == 200
    assert reply.cut_off
    assert reply.size < 200_000


async def slow(_got: Got) -> bytes:
    await asyncio.sleep(60)
    return OK


async def test_whoever_does_not_answer_in_time_is_left() -> None:
    async with receiving(slow) as receiver:
        error = await refused(egress(Names(["127.0.0.1"]), patience_s=0.2), receiver.url)
    assert error.code == "timeout"


async def test_an_answer_that_drips_is_left_in_time_too() -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na", hold=True) as receiver:
        error = await refused(egress(Names(["127.0.0.1"]), patience_s=0.2), receiver.url)
    assert error.code == "timeout"


async def test_what_is_no_http_at_all_is_told_without_being_quoted() -> None:
    async with receiving(b"220 mail.internal ESMTP secret-banner\r\n") as receiver:
        error = await refused(egress(Names(["127.0.0.1"])), receiver.url)
    assert error.code == "protocol"
    assert "secret" not in str(error)


async def test_a_closed_port_is_told_and_the_next_address_is_tried() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert (await refused(egress(Names(["127.0.0.1"])), f"http://{NAME}:{port}/")).code == "connect"
    async with receiving() as receiver:
        names = Names(["127.0.0.2", "127.0.0.1"])  # nobody listens on the first
        assert (await egress(names).post(f"http://{NAME}:{receiver.port}/", {}, b"{}")).status == 200


async def test_a_name_without_an_address_is_told() -> None:
    assert (await refused(Egress(allowed=HERE), "https://nowhere.invalid/")).code == "dns"
