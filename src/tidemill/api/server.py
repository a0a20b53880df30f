"""Builds the uvicorn server that runs the API, with its protocol, its time limits, and a graceful end.

On SIGTERM the server drains: for `drain` seconds `/readyz` answers 503 and everything else goes on, so that a balancer
sends new requests elsewhere. Then it takes no new connections and ends waits for the mill (they answer `202`); requests
finish, and the application's lifespan ends and closes the log. A second signal, and SIGINT, end the drain at once.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import uvicorn

from tidemill.api.draining import Draining
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
        self,
        config: uvicorn.Config,
        before_shutdown: Callable[[], None],
        beat: Callable[[], None],
        draining: Draining,
    ) -> None:
        super().__init__(config)
        self._draining = draining
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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first SIGTERM; end at once on any other signal, and where there is nothing to drain."""
        if sig != signal.SIGTERM or not self._draining.begin(time.monotonic()):
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Call `beat`, and enforce the deadlines of all connections."""
        if counter % _TICKS_A_BEAT == 0:
            self._beat()
        if counter % _TICKS_A_LOOK == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.enforce_deadlines(connection.loop.time())
        if self._draining.is_over(time.monotonic()):
            self.should_exit = True
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
    draining: Draining | None = None,
) -> ApiServer:
    """The server of `app`; `before_shutdown` is called in the loop when it begins to end (`applied.stop`), `beat` about
    once a second for as long as the loop turns. `draining`: the one that the routes of `app` ask (null: no drain)."""
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
    return ApiServer(config, before_shutdown, beat, draining or Draining(0.0))
