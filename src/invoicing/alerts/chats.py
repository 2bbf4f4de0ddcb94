"""Which chats alerts can go to: URLs of Apprise, of services whose address is fixed or is judged as any other."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

FIXED = frozenset({"discord", "gchat", "opsgenie", "pover", "slack", "tgram", "wxteams"})
"""Whatever the URL says, these are asked at one public address."""

HOSTED: Mapping[str, str] = MappingProxyType(
    {
        "gotify": "http", "gotifys": "https", "matrix": "http", "matrixs": "https", "mmost": "http", "mmosts": "https",
        "ntfy": "http", "ntfys": "https", "rocket": "http", "rockets": "https", "workflows": "https",
    }
)  # fmt: skip
"""These are asked at the host that the URL names."""

NAMES = tuple(sorted({*FIXED, *HOSTED}))


def service_of(url: str) -> str | None:
    """Name the service; None for what is none of ours. Options are refused: they can switch off checks and bounds."""
    scheme, _, rest = url.partition("://")
    return scheme if scheme in {*FIXED, *HOSTED} and rest and "?" not in rest else None


def asked(url: str) -> str | None:
    """Give the address that will be asked, to be judged; None where it is fixed. Raises `ValueError`: there is none."""
    scheme = url.partition("://")[0]
    if scheme in FIXED:
        return None
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the URL names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{HOSTED[scheme]}://{host}:{parts.port}/" if parts.port else f"{HOSTED[scheme]}://{host}/"


def shown(url: str) -> str:
    """Give what of a URL is no secret."""
    scheme = url.partition("://")[0]
    return f"{scheme}://" if scheme in FIXED else f"{scheme}://{urlsplit(url).hostname}"
