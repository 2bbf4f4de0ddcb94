"""Requests to addresses that others chose: public ones only, resolved once, no redirects, capped in time and size.

The name is resolved here, every address it has is judged, and the connection is made to an address that was judged: a
name that answers differently the second time is not asked a second time.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives every address of a host's name, as text; raises `OSError` when it has none."""

LONGEST_URL = 2_000

_MOST_TRIED = 3
"""Addresses of one name that are tried, where the first take no connection."""

_PORTS = {"https": 443, "http": 80}
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ENDS_IN_A_NUMBER = re.compile(r"(?:^|\.)(?:\d+|0[xX][0-9A-Fa-f]*)$")

# IANA's special-purpose registries (RFC 6890 and what was added), as networks that are not of the public internet.
# Written out, as Python's own judgement (`is_global`) has changed between its patch releases.
_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
# What is outside is no global unicast: loopback, link-local, unique local, multicast; and addresses that carry one of
# IPv4 (mapped, compatible, NAT64), behind which anything may be.
_UNICAST_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        # protocol assignments with Teredo and ORCHID, documentation, 6to4, AS112, documentation again
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)


ANYWHERE: Sequence[Network] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
"""For addresses that nobody from outside has chosen."""


class EgressError(Exception):
    """A request that got no answer; `code` is for programs, the text for the person whose address it is."""

    def __init__(self, code: str, message: str) -> None:
        """Say which rule or failure it was: `bad_url`, `address_not_allowed`, `dns`, `connect`, `tls`, `timeout`..."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Target:
    """A URL that may be asked, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None
    """The host's address, where the URL gives an address instead of a name."""

    @property
    def authority(self) -> str:
        """What the header Host says."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class Reply:
    """What was answered: of its body only how much was read."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""
    size: int
    cut_off: bool
    """Whether more came than was read."""


def networks_of(text: str) -> tuple[Network, ...]:
    """Read networks in CIDR notation with commas between; raises `ValueError` naming the wrong one."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_public(address: Address) -> bool:
    """Tell whether an address is global unicast of the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _UNICAST_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def target_of(url: str, allowed: Sequence[Network] = ()) -> Target:
    """Take a URL apart; raises `EgressError` for what will not be asked whatever its name resolves to.

    Plain http is for the networks allowed besides the public ones, and is refused where there are none.
    """
    if len(url) > LONGEST_URL or not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        raise EgressError("bad_url", f"A URL has at most {LONGEST_URL} visible ASCII characters, and no backslash.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EgressError("bad_url", "The URL cannot be taken apart.") from error
    if parts.scheme not in _PORTS or (parts.scheme == "http" and not allowed):
        raise EgressError("bad_url", "The URL must begin with https://.")
    if "@" in parts.netloc or "#" in url:
        raise EgressError("bad_url", "The URL must hold no user, no password and no fragment.")
    host = (parts.hostname or "").lower()
    literal = _literal(host, bracketed="[" in parts.netloc)
    if literal is not None and not _allowed(literal, parts.scheme, allowed):
        raise EgressError("address_not_allowed", f"The address {literal} is not one of the public internet.")
    if port == 0:
        raise EgressError("bad_url", "The port must be from 1 to 65535.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path, literal)


def _literal(host: str, *, bracketed: bool) -> Address | None:
    """Read a host that is an address; other spellings of one (2130706433, 0177.1, 0x7f.1) are refused, not guessed."""
    try:
        if bracketed or _ENDS_IN_A_NUMBER.search(host):
            # without what follows a %: it names a link of this machine, and is no part of an address
            return IPv6Address(host.replace("%", " ")) if bracketed else IPv4Address(host)
    except ValueError as error:
        raise EgressError("bad_url", "The host is no address in its usual spelling, such as 192.0.2.1.") from error
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise EgressError("bad_url", "The URL's host is no name; write an international one in its xn-- form.")
    return None


def _allowed(address: Address, scheme: str, allowed: Sequence[Network]) -> bool:
    return any(address in network for network in allowed) or (scheme == "https" and is_public(address))


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for a host's addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def trusting() -> ssl.SSLContext:
    """Make a context that trusts the authorities shipped with the client and those of the system."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


class Egress:
    """Sends requests out."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        resolver: Resolver = resolve,
        context: ssl.SSLContext | None = None,
        patience_s: float = 15.0,
        most_read: int = 16 * 1024,
    ) -> None:
        """Allow further networks than the public ones; give up after a time, and read no more than so many bytes."""
        self._allowed = tuple(allowed)
        self._resolve = resolver
        self._context = context or trusting()
        self._patience_s = patience_s
        self._most_read = most_read

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a body and wait for the answer, whatever its status; raises `EgressError` when there is none."""
        return await self._ask(url, "POST", headers, body)

    async def get(self, url: str, headers: Mapping[str, str]) -> Reply:
        """Ask without a body, by the same rules."""
        return await self._ask(url, "GET", headers, b"")

    async def _ask(self, url: str, method: str, headers: Mapping[str, str], body: bytes) -> Reply:
        target = target_of(url, self._allowed)
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._first(target, await self._judged(target), method, headers, body)
        except TimeoutError as error:
            raise EgressError("timeout", f"There was no whole answer within {self._patience_s:g} seconds.") from error

    async def judge(self, url: str) -> None:
        """Raise `EgressError` unless a URL may be asked now; for those who have another ask it."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._judged(target_of(url, self._allowed))
        except TimeoutError as error:
            raise EgressError("timeout", f"The name was not found within {self._patience_s:g} seconds.") from error

    async def _first(
        self, target: Target, addresses: Sequence[Address], method: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Ask the first address that takes a connection: where none was made, nothing was sent."""
        *others, last = addresses[:_MOST_TRIED]
        for address in others:
            try:
                return await self._send(target, address, method, headers, body)
            except EgressError as error:
                if error.code != "connect":
                    raise
        return await self._send(target, last, method, headers, body)

    async def _judged(self, target: Target) -> Sequence[Address]:
        """Find the addresses to connect to; a name of which one address is not allowed is refused with all of them."""
        if target.literal is not None:
            return [target.literal]
        try:
            found = [ip_address(text) for text in await self._resolve(target.host, target.port)]
        except (OSError, ValueError) as error:
            raise EgressError("dns", f"The name {target.host} has no address.") from error
        if not found:
            raise EgressError("dns", f"The name {target.host} has no address.")
        for address in found:
            if not _allowed(address, target.scheme, self._allowed):
                raise EgressError(
                    "address_not_allowed", f"{target.host} has the address {address}, which is none to send this to."
                )
        return found

    async def _send(
        self, target: Target, address: Address, method: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        request = httpx.Request(
            method,
            f"{target.scheme}://{host}:{target.port}{target.path}",
            headers={"Host": target.authority, "Accept-Encoding": "identity", "Connection": "close", **headers},
            content=body,
            extensions={"sni_hostname": target.host},  # the name that TLS asks for, and verifies
        )
        try:
            # A connection for each request: one that is kept is found again by its address, and would then serve
            # another name that was never verified on it. A transport knows neither redirects nor proxies.
            async with httpx.AsyncHTTPTransport(verify=self._context, trust_env=False) as transport:
                response = await transport.handle_async_request(request)
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()
        except httpx.HTTPError as error:
            raise _worded(error, target) from error

    async def _read(self, response: httpx.Response) -> Reply:
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > self._most_read:
                break
        return Reply(response.status_code, dict(response.headers), size, size > self._most_read)


def _worded(error: httpx.HTTPError, target: Target) -> EgressError:
    """Say what failed, without what a hostile server may have put into it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return EgressError("tls", f"The certificate of {target.host} does not hold: {cause.verify_message}.")
        if isinstance(cause, ssl.SSLError):
            return EgressError("tls", f"{target.host} did not agree on TLS.")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return EgressError("connect", f"{target.host} took no connection on port {target.port}.")
    if isinstance(error, httpx.RemoteProtocolError):
        return EgressError("protocol", f"{target.host} did not answer in HTTP, or broke off.")
    return EgressError("broken", f"The connection to {target.host} broke.")
