"""The child: calls the functions that its parent names, one at a time, and sends back what they return.

`python -m tidemill.processes.child CONNECTION_FD LIFELINE_FD MEMORY_BYTES`, started by `process.py`. It imports nothing
but what a function needs. It ends when its parent closes the connection, and at once when its parent dies.
"""

import os
import pkgutil
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any, Final

from tidemill.errors import LimitError, TidemillError
from tidemill.lifeline import Lifeline

NICE: Final = 5  # acknowledging comes first; mill and store, at 10, come after


def call(name: str, arguments: dict[str, Any]) -> tuple[str, Any]:
    """What the function `module:name` returns, as the pair that the parent reads: of `returned` and the value, of
    `raised` and the parts of a TidemillError, or of `failed` and a traceback."""
    try:
        return "returned", pkgutil.resolve_name(name)(**arguments)
    except TidemillError as error:
        return "raised", parts_of(error)
    except MemoryError:
        message = "This needs more memory than a worker process may use; ask for a shorter range, or for longer windows"
        return "raised", parts_of(LimitError("worker_memory", 0, message))
    except Exception:
        return "failed", traceback.format_exc()


def parts_of(error: TidemillError) -> tuple[type[TidemillError], tuple[Any, ...], dict[str, Any]]:
    """An error as something that can be pickled, whatever the arguments of its class."""
    return type(error), error.args, error.__dict__


def main() -> None:
    """Serve the parent until it closes the connection."""
    connection_fd, lifeline_fd, memory_bytes = map(int, sys.argv[1:4])
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Lifeline(lifeline_fd).watch()  # no handler of SIGTERM: the watch ends the process at once
    connection = Connection(connection_fd)
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        connection.send(call(name, arguments))


if __name__ == "__main__":
    main()
