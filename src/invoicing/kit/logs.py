"""Logs as one JSON object a line; each carries an `action`, a name that the documentation lists."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "action"}


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: time, level, logger, action, message and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Turn a record into its line; an exception becomes one field, so that a line stays a line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": getattr(record, "action", None),
            "message": record.getMessage(),
        }
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


def to_stderr(level: str = "INFO") -> None:
    """Send all logs of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("uvicorn.access", "httpx", "arq.worker", "pikepdf"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
