"""What rules that need the past ask for: the contract of whoever reads it, and what one batch asks with.

Judging (`rules/history.py`) is pure; the mill reads the past from the store, a replay lays its own points over that.
"""

from collections.abc import Callable
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


class Past(Protocol):
    """The accepted points of series as of a place in the log: those with seq < `before_seq`, whatever came later.

    Raises StoreUnavailableError or StoreQueryError; nothing is judged then.
    """

    def points(
        self, tenant: str, asked: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> pl.DataFrame:
        """For each row of `asked` (`series`, `time`): all points of the series from `time - reach.span_ns` to `time`
        (also at it) and the `reach.count` latest before those, none earlier than `time - reach.within_ns`.

        More may come, also later than `time`. POINTS, sorted by series and time, one row at an instant: where several
        are there, the one that stands under `policy` (`first`: lowest place; `last`, `keep`: highest). A point that
        stands and has no value has its row, with null; it does not count for `reach.count`.
        """
        ...

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """For each row of `since` (`series`, `time`, each series once): the latest time of a point of the series at or
        after `time`. LATEST; no row for a series that has none."""
        ...


class NoHistory:
    """The past of what has none."""

    def points(
        self, tenant: str, asked: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> pl.DataFrame:
        """No point."""
        return pl.DataFrame(schema=POINTS)

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """No time."""
        return pl.DataFrame(schema=LATEST)


def _no_turn() -> None:
    """Nobody wants to know."""


class HistoryLookup(msgspec.Struct, frozen=True):
    """What a batch asks the past with: whose it is, the place that it begins at, and who knows. `turn` is called again
    and again while records are judged one by one: a sign of life, for a million of them may take half a minute."""

    tenant: str
    before_seq: int
    past: Past
    turn: Callable[[], None] = _no_turn


NO_HISTORY: Final = HistoryLookup("", 0, NoHistory())
