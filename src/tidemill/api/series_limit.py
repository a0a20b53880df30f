"""Bounds how many series a tenant's open feeds make: a label that never repeats would make one for every record.

Intake knows the series of each payload before it is kept. Which ids there are already is read from the store once for
each tenant; while the store cannot be read, series made since this process started are counted alone. Several payloads
that are checked at the same moment may exceed the limit by what is in them.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.open.records import Tags
from tidemill.errors import LimitError, TidemillError
from tidemill.model.ids import series_id
from tidemill.store.client import Store

log = logging.getLogger(__name__)

LIMIT: Final = "max_series"
_AGAIN_S: Final = 30.0  # between two tries to read a tenant's series
_REMEMBERED: Final = 200_000  # (feed, tags, fields) that are known to be of known series


class SeriesLimit:
    """Counts the series of each tenant. Lives in one event loop; `admit` may be called in threads, one tenant's calls
    in any order."""

    def __init__(self, store: Store, most: int) -> None:
        self._store, self._most = store, most
        self._tenants: dict[str, _TenantSeries] = {}
        self.refused: dict[str, int] = {}

    def counts(self) -> dict[str, int]:
        """The series of each tenant that sent something to an open feed since the start."""
        return {tenant: known.count for tenant, known in self._tenants.items()}

    async def prepare(self, tenant: str) -> None:
        """Read the ids of a tenant's series, once."""
        known = self._tenants.setdefault(tenant, _TenantSeries())
        now = asyncio.get_running_loop().time()
        if known.read or now < known.again:
            return
        known.again = now + _AGAIN_S
        try:
            rows = await asyncio.to_thread(self._store.frame, "tenant_series_ids", tenant=tenant, most=self._most + 1)
        except TidemillError as error:
            log.info("the series of a tenant could not be read: %s", error)
            return
        known.keep(np.sort(rows["series"].to_numpy()))

    def admit(self, tenant: str, feed: str, series: Iterable[tuple[Tags, tuple[str, ...]]]) -> None:
        """Count the series of a payload. Raises LimitError where new ones exceed the limit; then none is counted."""
        known = self._tenants.setdefault(tenant, _TenantSeries())
        pairs = [pair for pair in series if (feed, pair) not in known.seen]
        if not pairs:
            return
        new: set[int] = set()
        for tags, fields in pairs:
            own = dict(tags)
            new.update(series_id(tenant, feed, own, field) for field in fields)
            if len(new) > self._most:
                break
        new = known.unknown(new)
        if new and known.count + len(new) > self._most:
            self.refused[tenant] = self.refused.get(tenant, 0) + 1
            raise LimitError(
                LIMIT,
                self._most,
                f"This would make {len(new)} new series: the tenant has {known.count}, and {LIMIT} is {self._most}. "
                "Nothing of it was kept. Take a tag that never repeats (an id, a time) out of the tags, or raise the "
                "setting TIDEMILL_MAX_SERIES.",
            )
        known.new |= new
        if len(known.seen) + len(pairs) > _REMEMBERED:
            known.seen.clear()
        known.seen.update((feed, pair) for pair in pairs[:_REMEMBERED])


class _TenantSeries:
    """The ids of a tenant's series: those that the store had, and those since."""

    def __init__(self) -> None:
        self.read = False
        self.again = 0.0
        self.new: set[int] = set()
        self.seen: set[tuple[str, tuple[Tags, tuple[str, ...]]]] = set()
        self._stored: NDArray[np.uint64] = np.zeros(0, np.uint64)

    @property
    def count(self) -> int:
        return len(self._stored) + len(self.new)

    def keep(self, stored: NDArray[np.uint64]) -> None:
        self._stored, self.read = stored, True
        self.new = self._beside(self.new)

    def unknown(self, ids: set[int]) -> set[int]:
        return self._beside(ids - self.new)

    def _beside(self, ids: set[int]) -> set[int]:
        """Those ids that the store did not have."""
        if not ids or not len(self._stored):
            return ids
        wanted = np.fromiter(ids, np.uint64, len(ids))
        at = np.minimum(np.searchsorted(self._stored, wanted), len(self._stored) - 1)
        return set(wanted[self._stored[at] != wanted].tolist())
