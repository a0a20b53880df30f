"""The link between a supervised process and its supervisor: a beat every second, and an end when the supervisor dies.

One socket does both: the process writes a byte every second (the supervisor restarts a process that is silent), and
reads: end of file means that the supervisor died, and the process ends itself as on SIGTERM.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

BEAT_S: Final = 1.0
_PATIENCE_S: Final = 10.0  # then an orphan that did not heed its SIGTERM ends


class Lifeline:
    """The process's end of the socket; `fd` < 0 makes it inert, for a process that nobody supervises."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd) if fd >= 0 else None

    def beat(self) -> None:
        """Send a sign of life. Call it from the loop that does the work. Never blocks, never raises."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(b".", socket.MSG_DONTWAIT)

    def watch(self) -> None:
        """Watch for the supervisor's death, in a thread, and end the process then."""
        if self._socket is not None:
            threading.Thread(target=self._watch, args=(self._socket,), name="lifeline", daemon=True).start()

    def beat_while(self, alive: Callable[[], bool]) -> None:
        """Beat every second for as long as `alive()` is true, in a thread: for work that has no loop of its own."""
        threading.Thread(target=self._beat_while, args=(alive,), name="heartbeat", daemon=True).start()

    def _beat_while(self, alive: Callable[[], bool]) -> None:
        while True:
            if alive():
                self.beat()
            time.sleep(BEAT_S)

    def _watch(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE_S)
        os._exit(1)
