"""Answers that come in floods for one reason, such as a full disk: a line for the first, then one a minute with how
many there were. Who sends a thousand requests a second writes no thousand lines a second."""

import asyncio
import logging
from typing import Final

log = logging.getLogger("tidemill.access")

EVERY_S: Final = 60.0
STATUSES: Final = frozenset({503, 507})  # said once a request by the answer; the cause has a line of its own


class Floods:
    """Sums up answers by status. Lives in one event loop."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._counts: dict[int, int] = {}

    def count(self, status: int, route: str) -> None:
        """Count one answer of a status and a route; the first one after a silence is logged at once."""
        if status in self._counts:
            self._counts[status] += 1
            return
        log.warning("requests fail", extra={"facts": {"status": status, "route": route, "count": 1}})
        self._wait(status)

    def _wait(self, status: int) -> None:
        self._counts[status] = 0
        asyncio.get_running_loop().call_later(self._every_s, self._sum_up, status)

    def _sum_up(self, status: int) -> None:
        count = self._counts.pop(status)
        if count:
            facts = {"status": status, "count": count, "seconds": self._every_s}
            log.warning("requests fail", extra={"facts": facts})
            self._wait(status)
