"""Reads the past of series from the store, for rules that need it: `rules.history_lookup.Past` over the tables points
and replaced.

How far back the last points of a series reach is not known, and the points within `within` may be millions: a look-up
begins with a short time and goes further back for those series that have too few points in it. The time that was enough
is remembered for each series, so that live data costs one look-up per batch. The result never depends on that hint.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from tidemill.checks.look_back import LookBack
from tidemill.mill.context import MillContext
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S
from tidemill.rules.history_lookup import LATEST, POINTS, REJECTED_TIMES

_CHUNK: Final = 5_000  # series in one query
_KEEP: Final = 200_000  # series whose width is remembered
_GAP_NS: Final = 3_600 * NS_PER_S  # records further apart than this are in separate queries
_GROUPS: Final = 8  # but in no more groups than this
# A width is 4^n seconds; a series that is not known begins with about four minutes, and each further try is 16 times
# as wide: a day is reached with the fourth.
_BEGIN, _FURTHER, _WIDEST = 4, 2, 20


class StorePast:
    """The past in one store. Not thread-safe. Loads the states of the series that it looks up."""

    def __init__(self, context: MillContext) -> None:
        self._store = context.store
        self._known = context.known
        self._status = context.status
        self._widths: dict[int, int] = {}

    def points(self, tenant: str, rows: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str) -> pl.DataFrame:
        """As `Past.points`."""
        instants = self._possible(tenant, rows, reach.within_ns)
        frames = [pl.DataFrame(schema=POINTS)]
        for group in _group_by_time(instants, reach.span_ns + _GAP_NS):
            frames += self._read_group(tenant, group, reach, before_seq=before_seq, policy=policy)
        return pl.concat(frames).unique(["series", "time"], keep="any").sort("series", "time")

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """As `Past.latest`. Costs no look-up where nothing in the store is as late."""
        since = self._possible(tenant, since, 0)
        frames = [pl.DataFrame(schema=LATEST)]
        for start in range(0, since.height, _CHUNK):
            part = since[start : start + _CHUNK]
            params = self._params(tenant, part["series"], before_seq) | {"since": part["time"].min()}
            rows = self._store.frame("mill_past_latest", **params)
            frames.append(rows.join(part, on="series", suffix="_since").filter(pl.col("time") >= pl.col("time_since")))
        return pl.concat(frame.select(list(LATEST)) for frame in frames)

    def rejected(
        self, tenant: str, feed: str, rows: pl.DataFrame, *, within_ns: int, codes: Sequence[str], before_seq: int
    ) -> pl.DataFrame:
        """As `Past.rejected`."""
        self._known.load_series(tenant, rows["series"].unique(), 0)
        frames = [pl.DataFrame(schema=REJECTED_TIMES)]
        for group in _group_by_time(rows, within_ns + _GAP_NS):
            for start in range(0, group.height, _CHUNK):
                part = group[start : start + _CHUNK]
                frames.append(
                    self._query_rejected(tenant, feed, part, within_ns=within_ns, codes=codes, before_seq=before_seq)
                )
        times = pl.concat(frame.select(list(REJECTED_TIMES)) for frame in frames)
        return times.unique(["series", "time"]).sort("series", "time")

    def _query_rejected(
        self, tenant: str, feed: str, now: pl.DataFrame, *, within_ns: int, codes: Sequence[str], before_seq: int
    ) -> pl.DataFrame:
        """`series`, `time`, `seq` of the rejected records that a group of series (`series`, `first`, `last`) needs."""
        first, last = now["first"].min(), now["last"].max()
        assert isinstance(first, int)
        params = self._params(tenant, now["series"], before_seq) | {"feed": feed, "codes": list(codes)}
        return self._store.frame("mill_past_rejected", **params, start=max(first - within_ns, MIN_NS), stop=last)

    def _possible(self, tenant: str, instants: pl.DataFrame, within_ns: int) -> pl.DataFrame:
        """Those of these rows (`series`, `time`) for which the store can have a point: none of a new series."""
        series = instants["series"].unique()
        since = instants["time"].min()
        self._known.load_series(tenant, series, since if isinstance(since, int) else 0)
        latest = self._known.frame(series).select("series", "latest")
        return instants.join(latest, on="series").filter(pl.col("time") - within_ns <= pl.col("latest")).drop("latest")

    def _read_group(
        self, tenant: str, group: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> Iterator[pl.DataFrame]:
        """The points for a group of series (`series`, `first`, `last`) at times that are near each other."""
        further = reach.within_ns - reach.span_ns  # how far `count` points may be before the span
        widths = [self._widths.get(id_, _BEGIN) if reach.count else 0 for id_ in group["series"]]
        waiting = group.with_columns(pl.Series("width", widths, dtype=pl.Int64))
        while waiting.height:
            width = waiting["width"].max()
            assert isinstance(width, int)
            now = waiting.filter(pl.col("width") >= width - 1)[:_CHUNK]  # with the next narrower width
            waiting = waiting.join(now, on="series", how="anti")
            width_ns = min(_width_ns(width), further) if reach.count else 0
            points = _current(self._query(tenant, now, reach.span_ns + width_ns, before_seq), policy)
            needed = self._learn(now, points, reach)
            short = needed.filter(pl.col("count") < reach.count) if width_ns < further else needed.clear()
            yield points.join(short, on="series", how="anti")
            more = short.select(group.columns).with_columns(width=pl.lit(width + _FURTHER, pl.Int64))
            waiting = pl.concat([waiting, more])

    def _query(self, tenant: str, now: pl.DataFrame, back_ns: int, before_seq: int) -> pl.DataFrame:
        first, last = now["first"].min(), now["last"].max()
        assert isinstance(first, int)
        start = max(first - back_ns, MIN_NS)
        params = self._params(tenant, now["series"], before_seq)
        return self._store.frame("mill_past", **params, start=start, stop=last)

    def _params(self, tenant: str, series: pl.Series, before_seq: int) -> dict[str, Any]:
        """The parameters that every query binds."""
        self._status.lookups += 1
        deleted = self._known.deleted(series)
        return {
            "tenant": tenant,
            "series": series,
            "deleted_seqs": [deleted.get(id_, 0) for id_ in series],
            "before_seq": before_seq,
        }

    def _learn(self, now: pl.DataFrame, points: pl.DataFrame, reach: LookBack) -> pl.DataFrame:
        """`now` with the number of `points` before the span of each series (`count`). Remembers how far back they
        go."""
        if not reach.count:
            return now.with_columns(count=pl.lit(0))
        before = points.filter(pl.col("value").is_not_null()).join(now, on="series")
        before = before.with_columns(ago=pl.col("first") - reach.span_ns - pl.col("time")).filter(pl.col("ago") > 0)
        counted = before.group_by("series").agg(
            pl.len().alias("count"), pl.col("ago").bottom_k(reach.count).max().alias("ago")
        )
        needed = now.join(counted, on="series", how="left").with_columns(pl.col("count").fill_null(0))
        if len(self._widths) > _KEEP:
            self._widths.clear()
        for series, count, ago in needed.select("series", "count", "ago").iter_rows():
            self._widths[series] = _width(2 * ago) if count >= reach.count else _WIDEST
        return needed


def split_runs(entries: Sequence[LogEntry], looks_back: Callable[[str, str, int], bool]) -> Iterator[list[LogEntry]]:
    """Splits entries into runs that may be applied in one batch: before a payload of a feed whose rules need the past
    (`looks_back` of tenant, feed and version) is applied, the payloads of other versions before it must be in the
    store."""
    run: list[LogEntry] = []
    versions: dict[tuple[str, str], int] = {}
    for entry in entries:
        payload = entry.payload
        key = payload.tenant, payload.feed
        if payload.kind is EntryKind.DATA:
            before = versions.get(key, payload.feed_version)
            changed = before != payload.feed_version
            if changed and (looks_back(*key, before) or looks_back(*key, payload.feed_version)):
                yield run
                run, versions = [], {}
            versions[key] = payload.feed_version
        run.append(entry)
    if run:
        yield run


def _group_by_time(instants: pl.DataFrame, gap_ns: int) -> Iterator[pl.DataFrame]:
    """`series`, `first`, `last` of these instants, in groups whose times are apart by more than a gap, so that a single
    old record does not make the query read everything since then."""
    if instants.is_empty():
        return
    times = instants["time"].unique().sort().to_numpy()
    gaps = np.diff(times)
    widest = np.argsort(gaps)[::-1][: _GROUPS - 1]
    begins = times[np.sort(widest[gaps[widest] > gap_ns]) + 1]
    numbered = instants.with_columns(
        group=pl.Series(np.searchsorted(begins, instants["time"].to_numpy(), side="right"))
    )
    ends = numbered.group_by("group", "series").agg(
        pl.col("time").min().alias("first"), pl.col("time").max().alias("last")
    )
    for _, group in sorted(ends.group_by("group"), key=lambda pair: pair[0]):
        yield group.drop("group").sort("series")


def _current(points: pl.DataFrame, policy: str) -> pl.DataFrame:
    """The current point of each series and instant."""
    if points.is_empty():
        return pl.DataFrame(schema=POINTS)
    ordered = points.select(list(POINTS)).sort("series", "time", "seq", "idx")
    return ordered.unique(["series", "time"], keep="first" if policy == "first" else "last", maintain_order=True)


def _width_ns(width: int) -> int:
    return min((1 << 2 * width) * NS_PER_S, MAX_NS >> 1)


def _width(ns: int) -> int:
    """The least width that is at least so long."""
    return next((width for width in range(_WIDEST) if _width_ns(width) >= ns), _WIDEST)
