"""Where a command writes: results to standard output, all else to standard error."""

import json
import sys
from typing import Any

from rich.console import Console

_WIDTH_OF_FILES = 200
"""Where nobody looks at a terminal, tables keep their words whole."""

OUT = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
ERRORS = Console(stderr=True, highlight=False)


def emit(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Write a result for a program: one JSON document."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a plain line for people, whole at any width of the terminal."""
    OUT.print(text, soft_wrap=True)
