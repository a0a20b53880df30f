"""The mills of one process, one for each partition of the log, side by side on one store."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tidemill.mill.worker import Mill


class Crew:
    """Runs these mills. When one of them ends by an error, all end, so that the process ends and is started again."""

    def __init__(self, mills: Sequence[Mill]) -> None:
        self._mills = mills

    @property
    def last_turn(self) -> float:
        """The last sign of life of the mill that has been silent the longest; see `Mill.last_turn`."""
        return min(mill.last_turn for mill in self._mills)

    def wake(self) -> None:
        """There may be a new replay. Thread-safe."""
        for mill in self._mills:
            mill.wake()

    def run_until(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises the error that ended a mill."""
        if len(self._mills) == 1:
            self._mills[0].run_until(stop)
            return
        with ThreadPoolExecutor(len(self._mills), "mill") as pool:
            running = [pool.submit(self._run, mill, stop) for mill in self._mills]
        for future in running:
            future.result()

    def _run(self, mill: Mill, stop: threading.Event) -> None:
        try:
            mill.run_until(stop)
        finally:
            stop.set()
