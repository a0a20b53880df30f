"""Checks rollups: every published window has the aggregates of its current points, and every point's window is
published.

Sealed windows are final and left out. So are those of a feed whose width changed from one version to the next: windows
of the earlier width are not kept up.
"""

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from tidemill.mill import rollups
from tidemill.mill.known import NEVER
from tidemill.mill.verify import kinds
from tidemill.mill.verify.explain import Explainer
from tidemill.mill.verify.report import Findings
from tidemill.model.ids import format_series
from tidemill.model.time import NS_PER_S, format_instant
from tidemill.model.verification import Totals
from tidemill.store.client import Store

TOLERANCE: Final = 1e-9  # of the largest value: the order of adding up differs
_ROWS: Final = 1_000_000  # of points behind one query
_SERIES: Final = 5_000
_KEY: Final = ["series", "window"]
_VALUES: Final = tuple(rollups.AGGREGATES)
_EXACT: Final = ("count", "min", "max")


class WindowCheck:
    """Checks the rollups of feeds against one store."""

    def __init__(self, store: Store, explainer: Explainer) -> None:
        self._store = store
        self._explainer = explainer

    def check_windows(self, tenant: str, feed: str, findings: Findings, *, after: int, upto: int) -> tuple[Totals, str]:
        """(sums, a note or ""). Windows whose newest point is beyond `upto` are being written; those whose newest is
        not beyond `after` (0: of all) are out of scope."""
        widths = {rollups.every_ns(version) for version in self._explainer.versions(tenant, feed)}
        if not widths - {0}:
            return Totals(), ""
        if len(widths) > 1:
            return Totals(), f"the rollups of '{feed}' are not checked: their width changed between versions"
        every = widths.pop()
        totals = Totals()
        for part in self._parts(tenant, feed):
            both = self._both(tenant, every, part)
            totals.add(Totals(windows=both["is_count"].count(), sealed=int(both["sealed"].fill_null(False).sum())))
            newest = pl.col("newest").fill_null(0)
            in_scope = (newest > after) if after else pl.lit(True)
            open_ = both.filter(~pl.col("sealed").fill_null(False) & (newest <= upto) & in_scope)
            self._compare(tenant, feed, open_, findings)
        return totals, ""

    def _parts(self, tenant: str, feed: str) -> Iterator[pl.DataFrame]:
        """The feed's series, so many at a time that their points are not too many."""
        series = self._store.frame("verify_series", tenant=tenant, feed=feed)
        by_count = pl.int_range(pl.len()) // _SERIES
        part = (pl.col("n").cum_sum() // _ROWS) * (1 << 32) + by_count
        yield from series.with_columns(part=part).partition_by("part", maintain_order=True)

    def _both(self, tenant: str, every: int, part: pl.DataFrame) -> pl.DataFrame:
        """Windows as published (`is_...`) and as the points make them (`due_...`); null where there is none."""
        params: dict[str, Any] = {"tenant": tenant, "every_s": every // NS_PER_S, "series": part["series"]}
        published = self._store.frame("verify_window_rows", **params).rename({"window_ns": "window"})
        made = self._store.frame("verify_window_values", deleted_seqs=part["deleted_seq"], **params)
        made = made.rename({"window_ns": "window"}).filter(pl.col("count") > 0)
        published = published.rename({name: f"is_{name}" for name in _VALUES})
        made = made.rename({name: f"due_{name}" for name in _VALUES})
        return made.join(published, on=_KEY, how="full", coalesce=True).sort(_KEY)

    def _compare(self, tenant: str, feed: str, both: pl.DataFrame, findings: Findings) -> None:
        # Where points expire without a seal, what is left of a window is less than what was published.
        expired = self._explainer.expired_before(tenant, feed)
        shrunk = pl.col("due_count").fill_null(0) <= pl.col("is_count").fill_null(0)
        both = both.filter(~((pl.col("window") < expired) & shrunk)) if expired > NEVER else both
        due, published = pl.col("due_count").is_not_null(), pl.col("is_count").is_not_null()
        self._say(tenant, feed, both.filter(due & ~published), kinds.RollupMissing, findings)
        self._say(tenant, feed, both.filter(~due & published), kinds.RollupEmpty, findings)
        self._say(tenant, feed, both.filter(due & published & ~_same()), kinds.RollupDiffers, findings)

    def _say(
        self, tenant: str, feed: str, rows: pl.DataFrame, kind: type[kinds.FindingKind], findings: Findings
    ) -> None:
        room = findings.room(kind)
        for row in rows.head(room).iter_rows(named=True):
            what = f"series {format_series(row['series'])}, window {format_instant(row['window'])}"
            findings.add(
                kind, tenant=tenant, feed=feed, what=what, expected=_text(row, "due_"), observed=_text(row, "is_")
            )
        findings.more(kind, rows.height - room)


def _same() -> pl.Expr:
    scale = pl.max_horizontal(pl.col("due_min").abs(), pl.col("due_max").abs())
    near = [
        (pl.col(f"due_{name}") - pl.col(f"is_{name}")).abs()
        <= TOLERANCE * (scale * pl.col("due_count") if name == "sum" else scale)
        for name in _VALUES
        if name not in _EXACT
    ]
    exact = [pl.col(f"due_{name}") == pl.col(f"is_{name}") for name in _EXACT]
    return pl.all_horizontal(*near, *exact)


def _text(row: dict[str, Any], prefix: str) -> str:
    if row[f"{prefix}count"] is None:
        return "nothing"
    return ", ".join(f"{name} {row[prefix + name]}" for name in _VALUES)
