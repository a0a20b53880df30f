"""Reads the past of series from the store, for rules that need it: `rules.past.Past` over tables points and replaced.

How far back the last points of a series reach is not known, and all that `within` allows may be millions: a look-up
begins with a short time and goes further back for those series that have too few points in it. What was enough is
remembered of each series, so that live data costs one look-up a batch. It is a hint: the answer never depends on it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from tidemill.checks.look_back import LookBack
from tidemill.mill.context import MillContext
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S
from tidemill.rules.history_lookup import LATEST, POINTS

_CHUNK: Final = 5_000  # series in one question
_KEEP: Final = 200_000  # series whose width is remembered
_GAP_NS: Final = 3_600 * NS_PER_S  # records further apart than this are asked about apart
_GROUPS: Final = 8  # but in no more questions than this
# A width is 4^n seconds; a series that is not known begins with about four minutes, and each further try is 16 times
# as wide: a day is reached with the fourth.
_BEGIN, _FURTHER, _WIDEST = 4, 2, 20


class StorePast:
    """The past in one store. Not thread-safe. What is known of series is loaded with what is asked about."""

    def __init__(self, context: MillContext) -> None:
        self._store = context.store
        self._known = context.known
        self._status = context.status
        self._widths: dict[int, int] = {}

    def points(
        self, tenant: str, asked: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> pl.DataFrame:
        """As `Past.points`."""
        asked = self._possible(tenant, asked, reach.within_ns)
        frames = [pl.DataFrame(schema=POINTS)]
        for group in _nearby(asked, reach.span_ns + _GAP_NS):
            frames += self._group(tenant, group, reach, before_seq=before_seq, policy=policy)
        return pl.concat(frames).unique(["series", "time"], keep="any").sort("series", "time")

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """As `Past.latest`. Costs no look-up where nothing in the store is as late."""
        since = self._possible(tenant, since, 0)
        frames = [pl.DataFrame(schema=LATEST)]
        for start in range(0, since.height, _CHUNK):
            part = since[start : start + _CHUNK]
            values = self._bound(tenant, part["series"], before_seq) | {"since": part["time"].min()}
            found = self._store.frame("mill_past_latest", **values)
            frames.append(found.join(part, on="series", suffix="_asked").filter(pl.col("time") >= pl.col("time_asked")))
        return pl.concat(frame.select(list(LATEST)) for frame in frames)

    def _possible(self, tenant: str, asked: pl.DataFrame, within_ns: int) -> pl.DataFrame:
        """The rows for which something can be there: no look-up for a series that is new."""
        series = asked["series"].unique()
        since = asked["time"].min()
        self._known.load_series(tenant, series, since if isinstance(since, int) else 0)
        latest = self._known.frame(series).select("series", "latest")
        return asked.join(latest, on="series").filter(pl.col("time") - within_ns <= pl.col("latest")).drop("latest")

    def _group(
        self, tenant: str, group: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> Iterator[pl.DataFrame]:
        """What is asked of each series (`series`, `first`, `last`) at times that are near each other."""
        further = reach.within_ns - reach.span_ns  # how far `count` points may be before the span
        widths = [self._widths.get(one, _BEGIN) if reach.count else 0 for one in group["series"]]
        waiting = group.with_columns(pl.Series("width", widths, dtype=pl.Int64))
        while waiting.height:
            width = waiting["width"].max()
            assert isinstance(width, int)
            now = waiting.filter(pl.col("width") >= width - 1)[:_CHUNK]  # the next narrower go along
            waiting = waiting.join(now, on="series", how="anti")
            width_ns = min(_width_ns(width), further) if reach.count else 0
            found = _current(self._ask(tenant, now, reach.span_ns + width_ns, before_seq), policy)
            needed = self._learn(now, found, reach)
            short = needed.filter(pl.col("found") < reach.count) if width_ns < further else needed.clear()
            yield found.join(short, on="series", how="anti")
            more = short.select(group.columns).with_columns(width=pl.lit(width + _FURTHER, pl.Int64))
            waiting = pl.concat([waiting, more])

    def _ask(self, tenant: str, now: pl.DataFrame, back_ns: int, before_seq: int) -> pl.DataFrame:
        first, last = now["first"].min(), now["last"].max()
        assert isinstance(first, int)
        start = max(first - back_ns, MIN_NS)
        values = self._bound(tenant, now["series"], before_seq)
        return self._store.frame("mill_past", **values, start=start, stop=last)

    def _bound(self, tenant: str, series: pl.Series, before_seq: int) -> dict[str, Any]:
        """Values that every question binds."""
        self._status.lookups += 1
        gone = self._known.deleted(series)
        return {
            "tenant": tenant,
            "series": series,
            "gone": [gone.get(one, 0) for one in series],
            "before_seq": before_seq,
        }

    def _learn(self, now: pl.DataFrame, found: pl.DataFrame, reach: LookBack) -> pl.DataFrame:
        """`now` with how many points were `found` before the span of each series; remembers how far back they go."""
        if not reach.count:
            return now.with_columns(found=pl.lit(0))
        before = found.filter(pl.col("value").is_not_null()).join(now, on="series")
        before = before.with_columns(ago=pl.col("first") - reach.span_ns - pl.col("time")).filter(pl.col("ago") > 0)
        counted = before.group_by("series").agg(
            pl.len().alias("found"), pl.col("ago").bottom_k(reach.count).max().alias("ago")
        )
        needed = now.join(counted, on="series", how="left").with_columns(pl.col("found").fill_null(0))
        if len(self._widths) > _KEEP:
            self._widths.clear()
        for series, count, ago in needed.select("series", "found", "ago").iter_rows():
            self._widths[series] = _width(2 * ago) if count >= reach.count else _WIDEST
        return needed


def split_runs(entries: Sequence[LogEntry], looks_back: Callable[[str, str, int], bool]) -> Iterator[list[LogEntry]]:
    """Entries in runs that may be applied together: a payload of a feed whose rules need the past (`looks_back` of
    tenant, feed and version) must find what was accepted under another version before it in the store."""
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


def _nearby(asked: pl.DataFrame, gap_ns: int) -> Iterator[pl.DataFrame]:
    """`series`, `first`, `last` of what is asked, in groups whose times are apart by more than a gap: one record of
    long ago does not make everything since be read."""
    if asked.is_empty():
        return
    times = asked["time"].unique().sort().to_numpy()
    gaps = np.diff(times)
    widest = np.argsort(gaps)[::-1][: _GROUPS - 1]
    begins = times[np.sort(widest[gaps[widest] > gap_ns]) + 1]
    numbered = asked.with_columns(group=pl.Series(np.searchsorted(begins, asked["time"].to_numpy(), side="right")))
    ends = numbered.group_by("group", "series").agg(
        pl.col("time").min().alias("first"), pl.col("time").max().alias("last")
    )
    for _, group in sorted(ends.group_by("group"), key=lambda pair: pair[0]):
        yield group.drop("group").sort("series")


def _current(found: pl.DataFrame, policy: str) -> pl.DataFrame:
    """Of several points at one instant the one that stands."""
    if found.is_empty():
        return pl.DataFrame(schema=POINTS)
    ordered = found.select(list(POINTS)).sort("series", "time", "seq", "idx")
    return ordered.unique(["series", "time"], keep="first" if policy == "first" else "last", maintain_order=True)


def _width_ns(width: int) -> int:
    return min((1 << 2 * width) * NS_PER_S, MAX_NS >> 1)


def _width(ns: int) -> int:
    """The least width that is as long."""
    return next((width for width in range(_WIDEST) if _width_ns(width) >= ns), _WIDEST)
