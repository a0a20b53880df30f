"""Logs of every process: one JSON object a line, or short readable lines (the setting `log_format`; by default on a
terminal).

All modules use plain `logging`; extra facts go in `extra={"facts": {...}}` and become keys of the line.
"""

import logging
import sys
import time
from typing import Any

import msgspec


class JsonLines(logging.Formatter):
    """`{"time", "level", "role", "logger", "message", ...facts}`."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line: JSON escapes newlines."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class Readable(logging.Formatter):
    """`12:00:01 api    warning  message  key=value` for people at a terminal."""

    def __init__(self, role: str) -> None:
        super().__init__("%(asctime)s %(role)-6s %(message)s", "%H:%M:%S")
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line with its level, if that is warning or worse, and its facts behind the message."""
        record.role = self._role
        text = super().format(record)
        if record.levelno >= logging.WARNING:
            text = text.replace(record.message, f"{record.levelname.lower()}: {record.message}", 1)
        facts: dict[str, Any] = getattr(record, "facts", {})
        return "  ".join([text, *(f"{key}={value}" for key, value in facts.items())])


def configure_logging(role: str, level: str, form: str = "auto") -> None:
    """Send this process's logs to standard error. Call it once, before the first log line. `form`: the setting
    `log_format` (json, text, or auto: text on a terminal)."""
    handler = logging.StreamHandler(sys.stderr)
    readable = sys.stderr.isatty() if form == "auto" else form == "text"
    handler.setFormatter(Readable(role) if readable else JsonLines(role))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "asyncio"):
        logging.getLogger(chatty).setLevel("WARNING")
    for library in ("urllib3", "clickhouse_connect"):  # they log every failed request, and raise the error as well
        logging.getLogger(library).setLevel("ERROR")
