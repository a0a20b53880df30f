"""What the mill remembers of series, so that live data costs no look-up: what the store's row says, and the latest
instant at which a point can be. Loaded from the store when unknown, bounded, and forgotten after any failed write.

`latest` is an upper bound: no point of the series is later. It may be too high (then a look-up finds nothing).
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import polars as pl

from tidemill.mill.buried import Buried
from tidemill.model.offset import ONLY, Partition
from tidemill.model.time import MIN_NS
from tidemill.store.client import Store

_KEEP = 200_000  # about 250 bytes each
_CHUNK = 5_000  # ids in one question
NEVER = MIN_NS - 1


class State(msgspec.Struct, gc=False):
    """One series. `version` 0: the store has no row of it. `sealed_until`: the latest sealed window's begin;
    `restated_until`: of those that were ever restated."""

    latest: int = NEVER
    version: int = 0
    deleted: bool = False
    deleted_seq: int = 0
    created_ns: int = 0
    meta: int = 0
    sealed_until: int = NEVER
    restated_until: int = NEVER


class KnownSeries:
    """States by series id. Ids are unique over tenants (the tenant is in the hash)."""

    def __init__(self, store: Store, partition: Partition = ONLY) -> None:
        self._store = store
        self._states: dict[int, State] = {}
        self.buried = Buried(store, partition)

    def state(self, series: int) -> State:
        """The state of a series that was loaded."""
        return self._states[series]

    def load(self, tenant: str, series: Iterable[int], since: int) -> int:
        """Make these series known; returns how many were not. `since`: the earliest instant that will be asked for."""
        unknown = [one for one in series if one not in self._states]
        for start in range(0, len(unknown), _CHUNK):
            self._load(tenant, unknown[start : start + _CHUNK], since)
        return len(unknown)

    def frame(self, series: pl.Series) -> pl.DataFrame:
        """`series`, `latest`, `deleted_seq`, `sealed_until` of these loaded series."""
        states = [self._states[one] for one in series]
        return pl.DataFrame(
            {
                "series": series,
                "latest": pl.Series([one.latest for one in states], dtype=pl.Int64),
                "deleted_seq": pl.Series([one.deleted_seq for one in states], dtype=pl.UInt64),
                "sealed_until": pl.Series([one.sealed_until for one in states], dtype=pl.Int64),
            }
        )

    def deleted(self, series: Iterable[int]) -> Mapping[int, int]:
        """The `deleted_seq` of those of these loaded series that were ever deleted."""
        found = ((one, self._states[one].deleted_seq) for one in series)
        return {one: seq for one, seq in found if seq}

    def seal(self, series: Sequence[int], windows: Sequence[int]) -> None:
        """Remember that these windows are sealed."""
        for one, window in zip(series, windows, strict=True):
            state = self._states.get(one)
            if state is not None:
                state.sealed_until = max(state.sealed_until, window)

    def history(self, series: pl.Series) -> pl.DataFrame:
        """`series`, `latest`, `restated_until` of these loaded series."""
        states = [self._states[one] for one in series]
        return pl.DataFrame(
            {
                "series": series,
                "latest": pl.Series([one.latest for one in states], dtype=pl.Int64),
                "restated_until": pl.Series([one.restated_until for one in states], dtype=pl.Int64),
            }
        )

    def restate(self, series: Sequence[int], windows: Sequence[int]) -> None:
        """Remember that these windows are restated."""
        for one, window in zip(series, windows, strict=True):
            state = self._states.get(one)
            if state is not None:
                state.restated_until = max(state.restated_until, window)

    def trim(self) -> None:
        """Forget the series that were loaded longest ago when there are too many. Not within a batch."""
        excess = len(self._states) - _KEEP
        if excess > 0:
            for one in list(self._states)[: excess + _KEEP // 10]:
                del self._states[one]

    def forget_these(self, series: Iterable[int]) -> None:
        """Read these again when they are needed."""
        for one in series:
            self._states.pop(one, None)

    def forget(self) -> None:
        """Know nothing: what was remembered may not have been written."""
        self._states.clear()
        self.buried.forget()

    def _load(self, tenant: str, series: list[int], since: int) -> None:
        self._states.update((one, State()) for one in series)
        rows = self._store.rows("mill_series", tenant=tenant, series=series)
        for row in rows:
            state = self._states[row["series"]]
            state.version, state.deleted, state.deleted_seq = row["version"], row["deleted"], row["deleted_seq"]
            state.created_ns = row["created_ns"]
            state.meta = meta(row["feed"], row["name"], row["unit"], row["description"])
            state.latest = since - 1  # nothing is later than this, unless the next question finds something
        stored = [row["series"] for row in rows]
        if not stored:
            return  # points without a series row are of a batch that was cut short: all of it is applied again
        for row in self._store.rows("mill_latest", tenant=tenant, series=stored, since=since):
            self._states[row["series"]].latest = row["latest"]
        for row in self._store.rows("mill_sealed_until", tenant=tenant, series=stored):
            state = self._states[row["series"]]
            state.sealed_until = NEVER if row["sealed_until"] is None else row["sealed_until"]
            state.restated_until = NEVER if row["restated_until"] is None else row["restated_until"]


def meta(feed: str, name: str, unit: str, description: str) -> int:
    """A hash of what a series row says beside its identity."""
    return hash((feed, name, unit, description))
