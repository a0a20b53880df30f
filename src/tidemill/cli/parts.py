"""`tidemill store`, `mill`, `api` and `worker`: one part of an installation each, in the foreground.

They share a data folder, in which they agree on ports and secrets; whoever starts them starts them again when they end.
"""

from typing import Annotated

import typer

from tidemill.cli.common import DataOption
from tidemill.settings import load_settings

LogLevelOption = Annotated[
    str | None, typer.Option(help="debug, info, warning or error (TIDEMILL_LOG_LEVEL).", show_default="info")
]


def store(data: DataOption = None, log_level: LogLevelOption = None) -> None:
    """Run the store alone: the embedded engine, over HTTP, on loopback or at TIDEMILL_STORE.

    Example: `tidemill store --data ./data`
    """
    _start("store", data, log_level)


def mill(data: DataOption = None, log_level: LogLevelOption = None) -> None:
    """Run the mill alone, with the poller of sources; it waits for the store, and for an API to take what it polls.

    Example: `tidemill mill --data ./data`
    """
    _start("mill", data, log_level)


def api(
    data: DataOption = None,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT to serve on. (TIDEMILL_LISTEN)", show_default="127.0.0.1:8080")
    ] = None,
    log_level: LogLevelOption = None,
) -> None:
    """Run the API alone; it acknowledges payloads whether mill and store run or not.

    Example: `tidemill api --data ./data --listen 127.0.0.1:8080`
    """
    _start("api", data, log_level, listen)


def worker(data: DataOption = None, log_level: LogLevelOption = None) -> None:
    """Run the worker alone, which does long jobs such as verifications.

    Example: `tidemill worker --data ./data`
    """
    _start("worker", data, log_level)


def _start(role: str, data: str | None, log_level: str | None, listen: str | None = None) -> None:
    from tidemill.parts import start_part

    start_part(role, load_settings({"data": data, "listen": listen, "log_level": log_level}))
