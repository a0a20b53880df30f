"""Chooses between the two instants of a local time in a fold by the points around it: those in the store, and those of
earlier payloads in the batch. For records that the order in their own payload does not decide (`fold_order.py`).

Records of one series in one payload are decided together; their local times must ascend or descend. Where all their
times have points of the first run and none of the second, they are the second run; the other way round they are the
first. If they have the very values of these points, and not all the same, they are that run sent once more. With no
points at either, they are of the run whose points they go on from, or lead to: not further than the records are from
each other.
Anything else stays unclear. What is decided depends on what comes before the payload in the log, and on nothing else.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.checks.look_back import LookBack
from tidemill.decode.batch import Batch
from tidemill.feeds.definition import Feed
from tidemill.model.ids import series_id
from tidemill.model.time import NS_PER_S
from tidemill.rules.fold_order import FIRST, SECOND, UNCLEAR
from tidemill.rules.history_lookup import HistoryLookup

_AROUND_NS: Final = 6 * 3600 * NS_PER_S  # points further away say nothing; a clock was never put back by more

Ints = NDArray[np.int64]
Values = dict[int, float | None]  # by instant (ns)


class UnclearFolds(msgspec.Struct, frozen=True):
    """The rows of a frame whose fold is unclear, and both instants (ns) of each."""

    rows: Ints
    earlier: Ints
    later: Ints


def choose_beside_points(
    feed: Feed, frame: pl.DataFrame, folds: UnclearFolds, batch: Batch, lookup: HistoryLookup
) -> NDArray[np.uint8]:
    """FIRST, SECOND or UNCLEAR for each of `folds.rows` of a frame (`seq`, `idx`, `identity`, `time`, `f.…`). Raises
    what `lookup.past` raises. All UNCLEAR for a feed without a required field, by which its points could be known."""
    chosen = np.zeros(len(folds.rows), np.uint8)
    anchor = anchor_field(feed)
    if anchor is None:
        return chosen
    values = frame[f"f.{anchor}"].to_list()
    points = _Points(feed, anchor, frame, folds=folds, batch=batch, lookup=lookup)
    for seq, identity, in_payload in _groups(frame, folds):
        ascends = folds.earlier[in_payload[0]] <= folds.earlier[in_payload[-1]]
        numbers = in_payload if ascends else in_payload[::-1]
        first, second = folds.earlier[numbers], folds.later[numbers]
        if (np.diff(first) <= 0).any() or first[-1] - first[0] > _AROUND_NS:
            continue  # in no order, or the hours of two years
        sent = [values[row] for row in folds.rows[numbers].tolist()]
        run = _choose_run(first, second, sent, points.around(identity, seq, int(first[0]), int(second[-1])))
        chosen[numbers] = run
        if run != UNCLEAR:
            points.add(identity, first if run == FIRST else second, sent)
    return chosen


def anchor_field(feed: Feed) -> str | None:
    """The field by whose points every accepted record of a feed is known; null: a record may have no point."""
    if feed.shape.kind != "points" or feed.registers is not None:
        return None
    return next((name for name, field in feed.fields.items() if field.required), None)


def _groups(frame: pl.DataFrame, folds: UnclearFolds) -> Iterator[tuple[int, int, Ints]]:
    """(seq, identity, numbers among the folds) of the records of one series in one payload, in the order of the log."""
    part = frame.select("seq", "idx", "identity")[folds.rows].with_row_index("number").sort("seq", "identity", "idx")
    for (seq, identity), rows in part.group_by("seq", "identity", maintain_order=True):
        yield int(str(seq)), int(str(identity)), rows["number"].to_numpy().astype(np.int64)


class _Points:
    """The points of the series of field `anchor`, as of payloads in ascending order: those of the past, and those that
    earlier payloads of the batch make."""

    def __init__(
        self, feed: Feed, anchor: str, frame: pl.DataFrame, *, folds: UnclearFolds, batch: Batch, lookup: HistoryLookup
    ) -> None:
        self._feed, self._anchor, self._batch, self._lookup = feed, anchor, batch, lookup
        concerned = frame["identity"].gather(folds.rows).unique().implode()
        timed = frame.filter(pl.col("time").is_not_null() & pl.col("identity").is_in(concerned)).sort("seq", "idx")
        self._rows = timed.select("identity", "time", f"f.{anchor}")
        self._seqs = timed["seq"].to_numpy()
        self._taken = 0
        self._made: dict[int, Values] = {}

    def add(self, identity: int, instants: Ints, values: list[float | None]) -> None:
        """Add points of records whose fold is chosen now."""
        self._made.setdefault(identity, {}).update(zip(instants.tolist(), values, strict=True))

    def around(self, identity: int, seq: int, first: int, last: int) -> Values:
        """The points of a series around these instants, as of the offset `seq`."""
        stop = int(np.searchsorted(self._seqs, seq))
        for owner, time, value in self._rows[self._taken : stop].iter_rows():
            self._made.setdefault(owner, {})[time] = value
        self._taken = max(self._taken, stop)
        made = self._made.get(identity, {})
        near = {time: value for time, value in made.items() if first - _AROUND_NS <= time <= last + _AROUND_NS}
        return self._stored(identity, seq, first, last) | near

    def _stored(self, identity: int, seq: int, first: int, last: int) -> Values:
        tags = {pair["key"]: pair["value"] for pair in self._batch.identities["tags"][identity]}
        lookup, until = self._lookup, last + _AROUND_NS
        series = series_id(lookup.tenant, self._feed.name, tags, self._anchor)
        rows = pl.DataFrame({"series": [series], "time": [until]}, schema={"series": pl.UInt64, "time": pl.Int64})
        span_ns = until - first + _AROUND_NS
        reach = LookBack(span_ns=span_ns, within_ns=span_ns)
        lookup.turn()
        points = lookup.past.points(lookup.tenant, rows, reach, before_seq=seq, policy=self._feed.duplicates)
        near = points.filter((pl.col("series") == series) & pl.col("time").is_between(first - _AROUND_NS, until))
        return dict(near.select("time", "value").iter_rows())


def _choose_run(first: Ints, second: Ints, sent: list[float | None], points: Values) -> int:
    """The run of records with these two instants each, in ascending order, and the values `sent`."""
    at_first, at_second = ([time in points for time in times.tolist()] for times in (first, second))
    varied = len(set(sent)) > 1
    again = [
        all(there) and [points[time] for time in times.tolist()] == sent
        for there, times in ((at_first, first), (at_second, second))
    ]
    if any(again):
        return UNCLEAR if all(again) or not varied else FIRST if again[0] else SECOND
    if all(at_first) and not any(at_second):
        return SECOND
    if all(at_second) and not any(at_first):
        return FIRST
    if any(at_first) or any(at_second):
        return UNCLEAR
    return _choose_by_neighbours(first, second, np.array(sorted(points), np.int64))


def _choose_by_neighbours(first: Ints, second: Ints, times: Ints) -> int:
    """The run of records that have no points at their instants, by the `times` of the points around them."""
    steps = np.diff(first if len(first) > 1 else times)
    usual = int(np.median(steps)) if len(steps) else 0

    def is_next_to(run: Ints) -> bool:
        before, behind = times[times < run[0]], times[times > run[-1]]
        near_before = len(before) > 0 and run[0] - before[-1] <= usual
        near_behind = len(behind) > 0 and behind[0] - run[-1] <= usual
        return bool(near_before != near_behind)  # in between, they fill a gap: of which run, the points do not say

    near = is_next_to(first), is_next_to(second)
    return UNCLEAR if near[0] == near[1] else FIRST if near[0] else SECOND
