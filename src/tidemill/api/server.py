"""Builds the uvicorn server that runs the API, with its protocol, its time limits, and a graceful end.

On SIGTERM the server takes no new connections and ends waits for the mill (they answer `202`); requests finish, then
the application's lifespan ends and closes the log.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from tidemill.api.protocol import LimitedProtocol
from tidemill.settings import Settings

KEEP_ALIVE_S: Final = 75
SHUTDOWN_S: Final = 6  # every process has to end within 10 s of SIGTERM
# On every answer, so that no browser guesses another type than the stated one, and no page of another site gets an
# answer into its process.
SAFE_HEADERS: Final = [("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin")]
_TICKS_A_LOOK: Final = 5  # uvicorn ticks every 100 ms
_TICKS_A_BEAT: Final = 10


class ApiServer(uvicorn.Server):
    """A server whose `run(sockets)` serves on uvloop until SIGTERM or SIGINT; `should_exit = True` ends it too."""

    def __init__(
        self, config: uvicorn.Config, before_shutdown: Callable[[], None], beat: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown
        self._beat = beat

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGTERM and SIGINT with exit status 0: uvicorn would raise the signal again and be killed by it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Call `beat`, and enforce the deadlines of all connections."""
        if counter % _TICKS_A_BEAT == 0:
            self._beat()
        if counter % _TICKS_A_LOOK == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.enforce_deadlines(connection.loop.time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        """End waits for the mill, then let requests finish."""
        self._before_shutdown()
        await super().shutdown(sockets)


def build_server(
    app: Any,
    settings: Settings,
    before_shutdown: Callable[[], None] = lambda: None,
    beat: Callable[[], None] = lambda: None,
) -> ApiServer:
    """The server of `app`; `before_shutdown` is called in the loop when it begins to end (`applied.stop`), `beat` about
    once a second for as long as the loop turns."""
    protocol = type("ApiProtocol", (LimitedProtocol,), {"arrival_s": settings.body_timeout})
    config = uvicorn.Config(
        app,
        http=protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=SAFE_HEADERS,
        proxy_headers=False,  # the address of a connection is its peer's, whatever a header says
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        backlog=2048,
    )
    return ApiServer(config, before_shutdown, beat)
