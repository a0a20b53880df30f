"""The contract `Past`: reads earlier points of series for rules that need them; and `HistoryLookup`, a batch's way to
it.

The evaluation (`rules/history.py`) is pure; the mill reads the past from the store, a replay lays its own points over
it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import polars as pl

from tidemill.checks.look_back import LookBack

POINTS: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
}
LATEST: Final[dict[str, Any]] = {"series": pl.UInt64, "time": pl.Int64}
REJECTED_TIMES: Final = LATEST


class Past(Protocol):
    """The accepted points of series as of an offset of the log: those with seq < `before_seq`, whatever came later.

    Raises StoreUnavailableError or StoreQueryError; nothing is judged then.
    """

    def points(self, tenant: str, rows: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str) -> pl.DataFrame:
        """For each row of `rows` (`series`, `time`): all points of the series from `time - reach.span_ns` to `time`
        (both included) and the `reach.count` latest before those, none earlier than `time - reach.within_ns`.

        POINTS, sorted by series and time, one row at an instant: where several points are there, the one that is
        current under `policy` (`first`: lowest (seq, idx); `last`, `keep`: highest). More points may be returned, also
        later than `time`. A current point without a value has its row, with null; it does not count for `reach.count`.
        """
        ...

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """For each row of `since` (`series`, `time`, each series once): the latest time of a point of the series at or
        after `time`. LATEST; no row for a series that has none."""
        ...

    def rejected(
        self, tenant: str, feed: str, rows: pl.DataFrame, *, within_ns: int, codes: Sequence[str], before_seq: int
    ) -> pl.DataFrame:
        """For each row of `rows` (`series`, `time`): the times of records of the series, from `time - within_ns` to
        `time`, that are rejected for reasons all of which are among `codes`. REJECTED_TIMES, sorted by series and time,
        each once; more times may be returned."""
        ...


class NoHistory:
    """A past without points."""

    def points(self, tenant: str, rows: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str) -> pl.DataFrame:
        """No point."""
        return pl.DataFrame(schema=POINTS)

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """No time."""
        return pl.DataFrame(schema=LATEST)

    def rejected(
        self, tenant: str, feed: str, rows: pl.DataFrame, *, within_ns: int, codes: Sequence[str], before_seq: int
    ) -> pl.DataFrame:
        """No time."""
        return pl.DataFrame(schema=REJECTED_TIMES)


def _no_turn() -> None:
    """Does nothing: the `turn` of a lookup without a heartbeat."""


class HistoryLookup(msgspec.Struct, frozen=True):
    """How the rules of one batch read the past: the tenant, the offset at which the batch begins, and the `past`
    itself. `turn` is called repeatedly while records are evaluated one by one, as a heartbeat: a million of them may
    take half a minute."""

    tenant: str
    before_seq: int
    past: Past
    turn: Callable[[], None] = _no_turn


NO_HISTORY: Final = HistoryLookup("", 0, NoHistory())
