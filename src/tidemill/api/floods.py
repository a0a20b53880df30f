"""Limits the log lines of answers that fail in masses for one reason, such as a full disk: one line for the first, then
one a minute with their number, and one at the end. A thousand failed requests a second write no thousand lines."""

import asyncio
import logging
from typing import Final

log = logging.getLogger("tidemill.access")

EVERY_S: Final = 60.0
STATUSES: Final = frozenset({503, 507})  # each answer says so to its client; the cause has a log line of its own


class Floods:
    """Counts answers by status and logs the counts. Lives in one event loop."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._counts: dict[int, int] = {}  # of each status, the answers since its last line
        self._due: dict[int, asyncio.TimerHandle] = {}

    def count(self, status: int, route: str) -> None:
        """Count one answer of a status and a route; the first after a minute without any is logged at once."""
        if status in self._counts:
            self._counts[status] += 1
            return
        log.warning("requests fail", extra={"facts": {"status": status, "route": route, "count": 1}})
        self._wait(status)

    def end(self) -> None:
        """Log what was counted since the last lines, and stop logging."""
        for status, due in self._due.items():
            due.cancel()
            self._log(status, self._every_s - max(0.0, due.when() - asyncio.get_running_loop().time()))
        self._due.clear()

    def _wait(self, status: int) -> None:
        self._counts[status] = 0
        self._due[status] = asyncio.get_running_loop().call_later(self._every_s, self._sum_up, status)

    def _sum_up(self, status: int) -> None:
        del self._due[status]
        if self._log(status, self._every_s):
            self._wait(status)

    def _log(self, status: int, seconds: float) -> int:
        """Log how many answers of a status there were in the last seconds, if there were any."""
        count = self._counts.pop(status)
        if count:
            facts = {"status": status, "count": count, "seconds": round(seconds, 1)}
            log.warning("requests fail", extra={"facts": facts})
        return count
