"""The parent's end of a worker process: starts it when it is first needed, calls functions in it, and ends it."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any, Final

from tidemill.errors import UnavailableError

_ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}


class ProcessEndedError(UnavailableError):
    """The worker process ended during the call: it was ended, or the system killed it. The next call starts another."""


class WorkerProcess:
    """A process of one caller at a time. `call` blocks, so it is called in a thread; `end` may be called in any other.

    The process may use `memory_bytes` of data. It dies with this process, however this one dies.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._lifeline: socket.socket | None = None
        self._ending = False

    @property
    def pid(self) -> int | None:
        """The id of the process; None: there is none now."""
        child = self._child
        return None if child is None else child.pid

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """What the function `module:name` returns for these arguments; all of them can be pickled.

        Raises the TidemillError that it raised, ProcessEndedError if the process ended, UnavailableError if it cannot
        be started, and RuntimeError with the traceback of any other exception.
        """
        try:
            connection = self._started()
            connection.send((name, arguments))
            outcome, value = connection.recv()
        except (EOFError, ConnectionError) as error:
            self._discard()
            raise ProcessEndedError("The process that worked on this ended; ask again.") from error
        finally:
            self._ending = False
        if outcome == "returned":
            return value
        if outcome == "failed":
            raise RuntimeError(f"in the worker process: {value}")
        kind, args, state = value
        raised = kind.__new__(kind, *args)
        raised.__dict__.update(state)
        raise raised

    def end(self) -> None:
        """End the process, and with it a call that is under way or about to begin (ProcessEndedError)."""
        with self._lock:
            self._ending = True
            if self._child is not None:
                self._child.kill()
                self._child.wait()

    def close(self) -> None:
        """End the process for good; no call is under way."""
        self.end()
        self._discard()

    def _started(self) -> Connection:
        with self._lock:
            if self._ending:
                raise EOFError
            if self._child is not None and self._child.poll() is not None:  # it ended between two calls
                self._discard()
            if self._connection is None:
                self._connection = self._start()
            return self._connection

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        lifeline, watched = socket.socketpair()
        fds = (theirs.fileno(), watched.fileno())
        command = [sys.executable, "-m", "tidemill.processes.child", *map(str, fds), str(self._memory_bytes)]
        try:
            self._child = subprocess.Popen(
                command, env=os.environ | _ENVIRONMENT, pass_fds=fds, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            ours.close()
            lifeline.close()
            raise UnavailableError(f"A process for this cannot be started now: {error.strerror}", 5.0) from error
        finally:
            theirs.close()
            watched.close()
        self._lifeline = lifeline
        return Connection(ours.detach())

    def _discard(self) -> None:
        """End what is left of the process, and forget it."""
        with self._lock:
            child, connection, lifeline = self._child, self._connection, self._lifeline
            self._child = self._connection = self._lifeline = None
        for end in (connection, lifeline):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()
        if child is not None:
            child.kill()
            child.wait()
