"""The evidence of windows of several series, and their gaps: runs of windows without points, each with why.

A reason is stated only where the evidence shows it; else it is `unknown`. The reasons, by precedence:
`deleted`: points that were published there were deleted. `sealed`: the rollup kept their sum, the points expired.
`all_rejected`: every record that came for it was rejected. `null_values`: its samples have no values.
`not_reached`, `source_empty`: every poll of the feed's source that began in it failed, or was answered with nothing.
`never_received`: nothing came for it, and nothing of the feed came that cannot be told from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.errors import NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.log.contract import LogReader
from tidemill.model.ids import format_series
from tidemill.model.offset import Reach
from tidemill.model.time import duration_ns, format_instant, parse_instant
from tidemill.query.chosen_series import bound_series
from tidemill.query.deletions import AppliedDeletion, applied_deletions
from tidemill.query.series_rows import Description
from tidemill.query.why_evidence import waiting_payloads
from tidemill.store.client import Store, run_parallel

Why = Literal[
    "deleted", "sealed", "all_rejected", "null_values", "not_reached", "source_empty", "never_received", "unknown"
]
WHY: Final = get_args(Why)
_OF_POINTS: Final = ("flagged", "late")
_FACTS: Final = ("rejected", "restated", "deleted", "sealed")
_LEARNT: Final = 1_000  # points from whose times the usual spacing is learnt, as `evidence_spacing` says
_COUNTED: Final = ("rejected", "flagged", "restated")
_NEVER_NS: Final = 2**62  # a point is never so late
Ints = NDArray[np.int64]


class ReasonedGap(msgspec.Struct, frozen=True):
    """A run of windows of a series without points, up to now at most, for one reason."""

    series: str
    start: str
    end: str
    why: Why


class GapSpan(msgspec.Struct, frozen=True):
    """[start, end) in ns."""

    start: int
    end: int


class WindowBounds(msgspec.Struct, frozen=True):
    """The windows of an answer: their begins (ns, ascending), and [first, last] of the instants in them. Gaps end `now`
    at the latest; `applied` is what was applied of each partition before the windows were read."""

    begins: list[int]
    end: int
    first: int
    last: int
    closed_right: int
    now: int
    applied: Reach

    @property
    def edges(self) -> tuple[Ints, Ints]:
        """The begins and ends of the windows, as far as they are in the range of the request."""
        begins = np.array(self.begins, dtype=np.int64)
        ends = np.append(begins[1:], self.end)
        return np.maximum(begins, self.first - self.closed_right), np.minimum(ends, self.last + 1 - self.closed_right)


class WindowEvidence:
    """Reads the evidence."""

    def __init__(self, store: Store, log: LogReader, book: FeedBook) -> None:
        self._store, self._log, self._book = store, log, book

    def read(
        self, tenant: str, series: Sequence[Description], frame: pl.DataFrame, bounds: WindowBounds
    ) -> tuple[dict[int, dict[str, list[Any]]], list[ReasonedGap]]:
        """For each series the columns `n`, `expected`, `late`, `rejected`, `flagged`, `restated`; and the gaps. `frame`
        has a row for each window and series, with `count` and `missing`."""
        feeds = {name: self._feed(tenant, name) for name in {item.feed for item in series}}
        waiting = {name for name in feeds if waiting_payloads(self._log, tenant, name, bounds.applied)}
        own_frames = frame.partition_by("series", as_dict=True)
        counts = {item.series: own_frames.get((item.series,), frame.clear())["count"].to_numpy() for item in series}
        points, facts, spacing, polls, doubts, deletions = self._facts(tenant, series, feeds, counts, bounds)
        expiring = {name for name, feed in feeds.items() if feed is None or self._expires(tenant, feed)}
        columns: dict[int, dict[str, list[Any]]] = {}
        gaps: list[ReasonedGap] = []
        own_points, own_facts = (part.partition_by("series", as_dict=True) for part in (points, facts))
        own_polls = {
            name: _aligned(polls.filter(pl.col("feed") == name), bounds.begins, ("data", "empty", "failed"))
            for name in feeds
        }
        for item in series:
            own = own_frames.get((item.series,), frame.clear())
            known = _aligned(own_facts.get((item.series,), facts.clear()), bounds.begins, _FACTS)
            known |= _aligned(own_points.get((item.series,), points.clear()), bounds.begins, _OF_POINTS)
            polled = own_polls[item.feed]
            windows = _EmptyWindows(item, counts[item.series], *bounds.edges, spacing.get(item.series))
            feed = feeds[item.feed]
            late = known["late"].tolist() if feed and feed.rollups else [None] * len(bounds.begins)
            lists = {"n": windows.count.tolist(), "expected": windows.expected, "late": late}
            columns[item.series] = {
                **lists,
                **{name: known[name].tolist() for name in ("rejected", "flagged", "restated")},
            }
            reasons = _GapReasons(
                counts={**known, **polled, "nulls": own["missing"].to_numpy()},
                has_source=bool(feed and feed.source),
                certain=item.feed not in waiting | doubts | expiring,
                deletions=deletions,
            )
            gaps += windows.gaps(bounds.now, reasons)
        return columns, gaps

    def _expires(self, tenant: str, feed: Feed) -> bool:
        """Whether points expire under any version of a feed."""
        versions = (self._book.version(tenant, feed.name, number) for number in range(1, feed.version))
        return any(version.retention.points for version in (feed, *versions))

    def _feed(self, tenant: str, name: str) -> Feed | None:
        try:
            return self._book.newest(tenant, name)
        except NotFoundError:
            return None

    def _facts(
        self,
        tenant: str,
        series: Sequence[Description],
        feeds: Mapping[str, Feed | None],
        counts: Mapping[int, Ints],
        bounds: WindowBounds,
    ) -> tuple[pl.DataFrame, pl.DataFrame, dict[int, int], pl.DataFrame, set[str], list[AppliedDeletion]]:
        """What the points of each window show, what else happened in it, the time from point to point of each series,
        polls, doubts, deletions."""
        rollups = [feed.rollups if (feed := feeds[item.feed]) else None for item in series]
        rollup_ns = [duration_ns(item.every) if item else 1 for item in rollups]
        late_ns = [
            length + duration_ns(item.late_after) if item else _NEVER_NS
            for length, item in zip(rollup_ns, rollups, strict=True)
        ]
        spacing = {
            item.series: duration_ns(rollup.interval)
            for item, rollup in zip(series, rollups, strict=True)
            if rollup and rollup.interval
        }
        learnt = [item.series for item in series if item.series not in spacing]
        span: dict[str, Any] = {"tenant": tenant, "feeds": list(feeds), "first": bounds.first, "last": bounds.last}
        windows = {"begins": bounds.begins, "closed_right": bounds.closed_right}
        lateness = {item.series: pair for item, pair in zip(series, zip(rollup_ns, late_ns, strict=True), strict=True)}
        points, facts, rows, polls, doubts, deletions = run_parallel(
            lambda: self._judged(tenant, series, lateness, bounds),
            lambda: self._store.frame("gap_facts", **span, **bound_series(series), **windows),
            lambda: self._spacings(tenant, {key: counts[key] for key in learnt}, bounds),
            lambda: self._store.frame("gap_polls", **span, begins=bounds.begins),
            lambda: {row["feed"] for row in self._store.rows("gap_doubts", **span)},
            lambda: applied_deletions(self._store, tenant),
        )
        return points, facts, spacing | rows, polls, doubts, deletions

    def _judged(
        self,
        tenant: str,
        series: Sequence[Description],
        lateness: Mapping[int, tuple[int, int]],
        bounds: WindowBounds,
    ) -> pl.DataFrame:
        """How many points of each window were flagged or late; none of series without a row that may be."""

        def bound(chosen: Sequence[Description]) -> dict[str, Any]:
            span = {"tenant": tenant, "first": bounds.first, "last": bounds.last, "nulls": 0, "good": 0, "mark": ""}
            pairs = [lateness[item.series] for item in chosen]
            judged = {"rollup_ns": [pair[0] for pair in pairs], "late_ns": [pair[1] for pair in pairs]}
            return {**span, **bound_series(chosen), "firsts": [bounds.first] * len(chosen), **judged}

        suspects = {row["series"] for row in self._store.rows("gap_suspects", **bound(series))}
        chosen = [item for item in series if item.series in suspects]
        if not chosen:
            return pl.DataFrame(schema={"series": pl.UInt64, "ns": pl.Int64, **dict.fromkeys(_OF_POINTS, pl.UInt64)})
        windows = {"begins": bounds.begins, "closed_right": bounds.closed_right}
        return self._store.frame("gap_points", **bound(chosen), **windows)

    def _spacings(self, tenant: str, counts: Mapping[int, Ints], bounds: WindowBounds) -> dict[int, int]:
        """The usual time from point to point of series with so many points in each window. Reads no more windows than
        have the points that it is learnt from: all of a million points take a quarter of a second."""
        if not counts:
            return {}
        firsts = [_learning_begin(column, bounds) for column in counts.values()]
        bound = {"tenant": tenant, "series": list(counts), "first": min(firsts), "end": bounds.last, "firsts": firsts}
        return {row["series"]: row["spacing_ns"] for row in self._store.rows("evidence_spacing", **bound)}


def _learning_begin(counts: Ints, bounds: WindowBounds) -> int:
    """The begin (ns) of the last windows that have _LEARNT points together, else of the range."""
    from_the_end = np.cumsum(counts[::-1])
    windows = int(np.searchsorted(from_the_end, _LEARNT)) + 1
    return max(bounds.first, bounds.begins[-windows]) if windows <= len(counts) else bounds.first


def _touches(deletion: AppliedDeletion, item: Description, span: GapSpan) -> bool:
    """Whether a deletion selects instants of a series in a span."""
    start = deletion.selector.get("start")
    instants = [span.start, span.end - 1]
    if isinstance(start, str):
        instants += [at for at in [parse_instant(start)] if span.start <= at < span.end]
    return any(deletion.covers(item.feed, item.series, item.tags, at) for at in instants)


def _aligned(frame: pl.DataFrame, begins: Sequence[int], names: Sequence[str]) -> dict[str, Ints]:
    """Columns of counts with an item for each begin, 0 where the frame has no row."""
    at = np.searchsorted(np.array(begins, dtype=np.int64), frame["ns"].to_numpy())
    columns = {name: np.zeros(len(begins), dtype=np.int64) for name in names}
    for name, column in columns.items():
        column[at] = frame[name].to_numpy()
    return columns


class _GapReasons(msgspec.Struct, frozen=True):
    """Why some windows have no points, by what happened in them. `certain`: what came of the feed is known whole."""

    counts: Mapping[str, Ints]
    has_source: bool
    certain: bool
    deletions: list[AppliedDeletion]

    def why(self, item: Description, span: GapSpan, first: int, end: int) -> Why:
        """The reason for the windows from `first` to before `end`, which reach over `span`."""
        happened = {name: int(values[first:end].sum()) for name, values in self.counts.items()}
        traces: dict[str, Why] = {
            "deleted": "deleted", "sealed": "sealed", "rejected": "all_rejected", "nulls": "null_values",
        }  # fmt: skip
        for name, reason in traces.items():
            if happened[name]:
                return reason
        if not self.certain or any(_touches(deletion, item, span) for deletion in self.deletions):
            return "unknown"
        if not self.has_source:
            return "never_received"
        results = {name for name in ("data", "empty", "failed") if happened[name]}
        if len(results) != 1:
            return "unknown"
        return {"data": "never_received", "empty": "source_empty", "failed": "not_reached"}[results.pop()]  # type: ignore[return-value]


class _EmptyWindows(msgspec.Struct, frozen=True):
    """The windows of a series: how many points each has, from where to where they reach (ns), and the usual time from
    point to point (None: not known)."""

    item: Description
    count: Any
    begins: Ints
    ends: Ints
    apart: int | None

    @property
    def expected(self) -> list[float | None]:
        """How many points each window should have."""
        lengths = (self.ends - self.begins).tolist()
        return [round(length / self.apart, 6) if self.apart else None for length in lengths]

    def gaps(self, now_ns: int, reasons: _GapReasons) -> Iterator[ReasonedGap]:
        """Runs of windows without points before now in which a point was due. Windows in which a point is due each have
        a reason of their own, shorter ones have that of their run."""
        begins, ends = self.begins, np.minimum(self.ends, now_ns)
        empty = np.flatnonzero((self.count == 0) & (ends > begins))
        if not len(empty):
            return
        for run in np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1):
            first, end = int(run[0]), int(run[-1]) + 1
            if self.apart and ends[end - 1] - begins[first] < self.apart:
                continue
            alone = self.apart is not None and int((ends - begins)[first:end].max()) >= self.apart
            parts = [(n, n + 1) for n in range(first, end)] if alone else [(first, end)]
            spans = [(GapSpan(int(begins[a]), int(ends[b - 1])), a, b) for a, b in parts]
            yield from _merged(self.item, [(span, reasons.why(self.item, span, a, b)) for span, a, b in spans])


def _merged(item: Description, parts: Sequence[tuple[GapSpan, Why]]) -> Iterator[ReasonedGap]:
    """One gap for adjacent parts with the same reason."""
    start = parts[0][0].start
    for n, (span, why) in enumerate(parts):
        if n + 1 == len(parts) or parts[n + 1][1] != why:
            yield ReasonedGap(format_series(item.series), format_instant(start), format_instant(span.end), why)
            start = span.end
