"""Inserts the rows of one portion in a thread of its own while the next portion is decoded and decided.

Order and effect stay those of one after the other. One insert is under way at a time, so portions are written in the
order of the log. A call to the store by the thread that prepares waits until that insert has ended (`FencedStore` calls
`wait` before each of its calls): what is read for a decision is the store after everything that was decided before.
Only portions that no one has to ask the store about are decided while an insert is under way.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress


class InsertAhead:
    """The insert under way of one applier. All calls but `wait` come from the thread that prepares."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mill-ahead")
        self._under_way: Future[None] | None = None
        self._preparing = 0

    def start(self, insert: Callable[[], None]) -> None:
        """Begin an insert. Waits for the one before; raises the error of that one, and then begins nothing."""
        self.wait()
        self._preparing = threading.get_ident()
        self._under_way = self._pool.submit(insert)

    def wait(self) -> None:
        """In the thread that prepares: return when no insert is under way; raises the error that it ended with, once.
        In any other thread: return at once, because the insert itself and what is applied beside it need the store."""
        insert = self._under_way
        if insert is None or threading.get_ident() != self._preparing:
            return
        wait_for([insert])
        self._under_way = None
        insert.result()

    def give_up(self) -> None:
        """Return when no insert is under way, whatever it ended with: another error is being handled."""
        with suppress(BaseException):
            self.wait()

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()
