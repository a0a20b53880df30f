"""What a supervised process owes its supervisor: a beat every second, and an end when the supervisor is gone.

One socket does both: the process writes a byte now and then (the supervisor restarts a process that falls silent),
and reads it: end of file means that the supervisor died, and the process ends itself as if it had got SIGTERM.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

BEAT_S = 1.0


class Lifeline:
    """The process's end of the socket; `fd` < 0 makes it inert, for a process that nobody supervises."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd) if fd >= 0 else None

    def beat(self) -> None:
        """Say: alive. Never blocks, never raises."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(b".", socket.MSG_DONTWAIT)

    def hold(self, alive: Callable[[], bool] = lambda: True) -> None:
        """Watch for the supervisor's end, and beat every second for as long as `alive()` is true, in two threads."""
        if self._socket is None:
            return
        threading.Thread(target=self._watch, name="lifeline-watch", daemon=True).start()
        threading.Thread(target=self._beat_while, args=(alive,), name="lifeline-beat", daemon=True).start()

    def _beat_while(self, alive: Callable[[], bool]) -> None:
        while True:
            if alive():
                self.beat()
            time.sleep(BEAT_S)

    def _watch(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):
            self._socket.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)
