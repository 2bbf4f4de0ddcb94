"""Where the web process listens: whether it can, and how this machine reaches it."""

import socket
import urllib.error
import urllib.request
from contextlib import suppress

from invoicing.cli.faults import Fault
from invoicing.settings import Settings


def refuse_taken_port(host: str, port: int) -> None:
    """Refuse a port on which somebody listens: to choose another in silence would leave clients without us."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise Fault(
                f"Cannot listen on {host}:{port}: {error.strerror}.",
                f"Choose another port with --port (for example --port {port + 1 if port < 65535 else 8080}), "
                "or --port 0 for any that is free; or stop what listens there.",
            ) from error


def free_port(host: str) -> int:
    """Find a free port for `--port 0`; the parts must all be told the same."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def address(settings: Settings) -> str:
    """Give the URL under which this machine reaches the web process."""
    return f"http://{host_in_url(settings.host)}:{settings.port}"


def host_in_url(host: str) -> str:
    """Write a host that something listens on as this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def answers(url: str) -> bool:
    """Tell whether a URL is answered with success."""
    with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - http
        return bool(response.status == 200)
    return False
