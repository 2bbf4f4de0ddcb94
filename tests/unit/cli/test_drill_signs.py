"""Which lines of the processes' logs tell of a fault."""

from pathlib import Path

import pytest

from invoicing.cli.drill_signs import sign_in

AT = "2026-11-22T09:54:48.250+00:00"


def test_a_warning_of_ours_is_a_sign_at_its_time() -> None:
    line = f'{{"at": "{AT}", "level": "warning", "action": "runway.healed", "message": "put back"}}\n'.encode()
    sign = sign_in(Path("logs/watchdog.log"), line)
    assert sign is not None
    assert (sign.source, sign.what) == ("log", "log of watchdog: runway.healed")
    assert sign.at == 1_795_341_288.25


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Traceback (most recent call last):\n",
        b'{"at": "2026-11-22T09:5',
        b"17\n",
        f'{{"at": "{AT}", "level": "info", "action": "attempt.ended"}}'.encode(),
        f'{{"at": "{AT}", "level": "warning", "action": null}}'.encode(),
    ],
)
def test_anything_else_is_none(line: bytes) -> None:
    assert sign_in(Path("logs/web.log"), line) is None
