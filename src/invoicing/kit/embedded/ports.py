"""Ports on the loopback interface: the one a server had last, or a free one."""

import secrets
import socket
from pathlib import Path

from invoicing.kit.embedded.errors import EmbeddedServerError
from invoicing.kit.embedded.files import read_text

LOOPBACK = "127.0.0.1"
# Below the ranges from which Linux (32768-) and macOS (49152-) give ports to outgoing connections: a port of ours
# is then not lost to one of those between two runs.
_CHOICES = range(20_000, 32_000)


def choose_port(remembered: Path) -> int:
    """Return the remembered port when it is free, else a free one drawn at random."""
    last = read_text(remembered)
    if last is not None and last.isascii() and last.isdigit() and is_free(int(last)):
        return int(last)
    return draw_port()


def draw_port() -> int:
    """Draw a free port at random."""
    for _ in range(100):
        port = secrets.choice(_CHOICES)
        if is_free(port):
            return port
    raise EmbeddedServerError(
        f"no free port between {_CHOICES.start} and {_CHOICES.stop} on {LOOPBACK}: 100 were tried. "
        "Stop some of the programs that listen there, or use servers of your own."
    )


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    if not 1024 <= port <= 65535:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set the same option, so that connections still in TIME_WAIT do not keep a port from them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True
