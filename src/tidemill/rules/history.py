"""Judges records by what their series held before them (the contract is in `checks/history.py`). Pure: the past comes
from a collaborator, asked once for each field that such a rule looks at.

A series whose records come in the order of their times is judged as columns: first as if all of its records were
accepted; then again without those that were rejected, until that changes nothing. (What is before a record decides
about it, so each turn is right for longer from the beginning, and once two turns agree they agree with the truth.)
Where that takes too many turns, and where times are out of order, records are judged one by one.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.checks.look_back import Bools, Floats, Ints, LookBack, PastCheck, Rows
from tidemill.decode.batch import Batch
from tidemill.feeds.definition import Feed
from tidemill.model.ids import series_id
from tidemill.rules.history_lookup import HistoryLookup
from tidemill.rules.sequential import SequentialEvaluator

_TURNS: Final = 4  # as columns; a record that is wrong alone and the good one after it take three
_STRETCH: Final = 64  # records judged one by one before columns are tried again; each time twice as many
_PIECE: Final = 10_000  # records from one sign of life to the next
_NEVER: Final = np.iinfo(np.int64).min


class HistoryTest(msgspec.Struct, frozen=True):
    """A check, and whether a record that breaks it is rejected (else it is flagged)."""

    check: PastCheck
    rejects: bool


def evaluate_history(
    feed: Feed, asked: Sequence[HistoryTest], frame: pl.DataFrame, batch: Batch, memory: HistoryLookup
) -> list[Bools]:
    """For each check which rows of `frame` break it. The frame has `seq`, `idx`, `identity`, `time`, `f.<field>` and
    `refused`: of rows that are rejected for other reasons; they are judged and are nobody's past."""
    found = [np.zeros(frame.height, np.bool_) for _ in asked]
    order = _order(frame)
    if not len(order):
        return found
    broken = _HistoryEvaluation(feed, asked, _Columns(frame, order), batch, memory).run()
    for one, hits in zip(found, broken, strict=True):
        one[order] = hits
    return found


class _Field(msgspec.Struct, frozen=True):
    """One number field: which rows have a value, and the values (NaN: none); the past of all groups one after the other
    (`value` NaN: a point without one), where each group's begins, and the end of the last; the `latest` of each group;
    and the past without points that have no value."""

    there: Bools
    values: Floats
    time: Ints
    value: Floats
    begin: Ints
    latest: Ints
    held_time: Ints
    held_value: Floats
    held_begin: Ints

    def past_of(self, group: int) -> tuple[Ints, Floats, int | None]:
        """Time, value and latest of a group's past."""
        part = slice(self.begin[group], self.begin[group + 1])
        latest = int(self.latest[group])
        return self.time[part], self.value[part], None if latest == _NEVER else latest


class _HistoryEvaluation:
    """One batch. Rows are in the order of (identity, place); a group is the rows of one identity: its series depend on
    no others. `begin` has where each group begins, and the end of the last."""

    def __init__(
        self, feed: Feed, asked: Sequence[HistoryTest], columns: "_Columns", batch: Batch, memory: HistoryLookup
    ) -> None:
        self._feed = feed
        self._memory = memory
        self._contends = feed.first_wins or feed.shape.kind == "summary"
        identity = columns["identity"]
        starts = np.flatnonzero(np.diff(identity, prepend=identity[0] + 1) != 0)
        self._begin = np.append(starts, len(identity))
        self._group = np.repeat(np.arange(len(starts)), np.diff(self._begin))
        self._time = columns["time"]
        self._refused = columns["refused"]
        names = list(dict.fromkeys(one.check.field for one in asked))
        self._checks = [(one.check, names.index(one.check.field), one.rejects) for one in asked]
        tags = batch.identities["tags"].gather(identity[starts]).to_list()
        self._tags = [tuple((pair["key"], pair["value"]) for pair in one) for one in tags]
        values = [columns[f"f.{name}"] for name in names]
        self._fields = [self._field(name, one, memory) for name, one in zip(names, values, strict=True)]
        self._broken = [np.zeros(len(identity), np.bool_) for _ in asked]
        self._accepted = ~self._refused
        self._settled = self._begin[:-1].copy()  # rows of a group before this are judged for good
        self._walks: dict[int, SequentialEvaluator] = {}

    def run(self) -> list[Bools]:
        """Which rows break each check."""
        disordered = self._disordered()
        for group in np.flatnonzero(disordered).tolist():
            self._walk(group, int(self._begin[group]), int(self._begin[group + 1]))
        active, stretch = np.flatnonzero(~disordered), _STRETCH
        while len(active):
            active = self._turns(active)
            for group, row in zip(active.tolist(), self._settled[active].tolist(), strict=True):
                self._walk(group, row, min(row + stretch, int(self._begin[group + 1])))
            active = active[self._settled[active] < self._begin[active + 1]]
            stretch *= 2
        return self._broken

    def _disordered(self) -> Bools:
        """Groups with times that do not rise, or that are not later than all of their past."""
        falls = np.diff(self._time) <= 0
        falls[self._begin[1:-1] - 1] = False  # from one group to the next
        found = np.zeros(len(self._begin) - 1, np.bool_)
        found[self._group[1:][falls]] = True
        first = self._time[self._begin[:-1]]
        for field in self._fields:
            held = field.begin[1:] > field.begin[:-1]
            found[held] |= field.time[field.begin[1:][held] - 1] >= first[held]
            found |= field.latest >= first
        return found

    def _turns(self, active: Ints) -> Ints:
        """Judge groups as columns; returns those that are not done, settled up to where their doubts begin."""
        for _ in range(_TURNS):
            rows = _ranges(self._settled[active], self._begin[active + 1])
            was = self._accepted[rows]
            self._evaluate(active, rows)
            changed = rows[self._accepted[rows] != was]
            self._settled[active] = self._begin[active + 1]
            active, at = np.unique(self._group[changed], return_index=True)
            self._settled[active] = changed[at]
            if not len(active):
                break
        return active

    def _evaluate(self, active: Ints, rows: Ints) -> None:
        """Judge these rows (of these groups, to their ends) by what is taken for accepted, and say what is now."""
        refused = self._refused[rows].copy()
        views = [self._view(field, active, rows) for field in self._fields]
        for number, (check, field, rejects) in enumerate(self._checks):
            asked, view = views[field]
            hits = np.zeros(len(rows), np.bool_)
            hits[asked] = check.many(view)
            self._broken[number][rows] = hits
            if rejects:
                refused |= hits
        self._accepted[rows] = ~refused

    def _view(self, field: _Field, active: Ints, rows: Ints) -> tuple[Ints, Rows]:
        """Which of the rows (the unsettled ones of these groups) have a value, and these with their past: for each
        group what there was before, then what is taken of its own rows."""
        whole = len(active) == len(self._begin) - 1
        every: slice | Ints = slice(None) if whole else _ranges(self._begin[active], self._begin[active + 1])
        sizes, before = np.diff(self._begin)[active], np.diff(field.held_begin)[active]
        slot = self._group if whole else np.repeat(np.arange(len(active)), sizes)
        begin = np.cumsum(sizes) - sizes
        taken = self._accepted[every] & field.there[every]
        running: Ints = np.append(0, np.cumsum(taken))
        counts = before + running[begin + sizes] - running[begin]
        first: Ints = np.cumsum(counts) - counts
        stop = running[:-1] + (first + before - running[begin])[slot]
        time, value = np.empty(counts.sum(), np.int64), np.empty(counts.sum())
        held = _ranges(field.held_begin[active], field.held_begin[active + 1])
        at = _ranges(first, first + before)
        time[at], value[at] = field.held_time[held], field.held_value[held]
        time[stop[taken]], value[stop[taken]] = self._time[every][taken], field.values[every][taken]
        chosen = np.flatnonzero(field.there[rows])
        # Of each group the last rows are asked about: as many as are not settled.
        offset = _ranges(begin + (self._settled - self._begin[:-1])[active], begin + sizes)[chosen]
        asked = rows[chosen]
        return chosen, Rows(self._time[asked], field.values[asked], first[slot[offset]], stop[offset], time, value)

    def _walk(self, group: int, start: int, stop: int) -> None:
        """Judge the rows of a group from `start` to `stop` one by one; those before are judged."""
        for at in range(start, stop, _PIECE):
            self._memory.turn()
            self._one_by_one(group, at, min(at + _PIECE, stop))

    def _one_by_one(self, group: int, start: int, stop: int) -> None:
        begin, end = int(self._begin[group]), int(self._begin[group + 1])
        walk = self._walks.get(group)
        if walk is None:
            walk = self._walks[group] = SequentialEvaluator(
                self._time[begin:end],
                [field.values[begin:end] for field in self._fields],
                [field.past_of(group) for field in self._fields],
                first_wins=self._feed.first_wins,
                contends=self._contends,
            )
        walk.accept(self._accepted[begin + walk.at : start].tolist())
        refused = self._refused[start:stop].tolist()
        hits = [walk.judge(self._checks, refused=one) for one in refused]
        accepted = ~self._refused[start:stop]
        for number, (_, _, rejects) in enumerate(self._checks):
            column = np.fromiter((one[number] for one in hits), np.bool_, stop - start)
            self._broken[number][start:stop] = column
            if rejects:
                accepted &= ~column
        self._accepted[start:stop] = accepted
        self._settled[group] = stop

    def _field(self, name: str, values: Floats, memory: HistoryLookup) -> _Field:
        """Ask the past of one field's series."""
        reach = LookBack()
        for check, _, _ in self._checks:
            if check.field == name:
                reach = reach.with_(check.reach())
        ids = np.array([_series(memory.tenant, self._feed.name, tags, name) for tags in self._tags], np.uint64)
        there = ~np.isnan(values)
        asked = pl.DataFrame({"series": ids[self._group[there]], "time": self._time[there]})
        time, value, begin = np.empty(0, np.int64), np.empty(0), np.zeros(len(ids) + 1, np.int64)
        latest = np.full(len(ids), _NEVER)
        if reach.count or reach.span_ns or self._feed.first_wins:
            policy, before = self._feed.duplicates, memory.before_seq
            past = memory.past.points(memory.tenant, asked, reach, before_seq=before, policy=policy)
            time, value, begin = _by_group(past, ids)
        if reach.latest:
            since = asked.group_by("series").agg(pl.col("time").min())
            _spread(memory.past.latest(memory.tenant, since, before_seq=memory.before_seq), ids, latest)
        held = ~np.isnan(value)
        held_begin = np.append(0, np.cumsum(held))[begin]
        return _Field(there, values, time, value, begin, latest, time[held], value[held], held_begin)


class _Columns:
    """Columns of a frame in another order: only those that are asked for are moved."""

    def __init__(self, frame: pl.DataFrame, order: Ints) -> None:
        self._frame = frame
        self._order = order

    def __getitem__(self, name: str) -> Any:
        return self._frame[name].to_numpy()[self._order]


def _order(frame: pl.DataFrame) -> Ints:
    """The rows that have an instant, in the order of (identity, seq, idx)."""
    rows = np.arange(frame.height)
    if frame["time"].null_count():
        rows = np.flatnonzero(frame["time"].is_not_null().to_numpy())
    identity, seq, idx = (frame[name].to_numpy()[rows] for name in ("identity", "seq", "idx"))
    if not bool(((seq[1:] > seq[:-1]) | ((seq[1:] == seq[:-1]) & (idx[1:] > idx[:-1]))).all()):
        return rows[np.lexsort((idx, seq, identity))]
    if identity.max(initial=0) < 1 << 16:  # sorted by counting: 1,000,000 rows in 10 ms
        identity = identity.astype(np.uint16)
    return rows[np.argsort(identity, kind="stable")]


def _ranges(start: Ints, stop: Ints) -> Ints:
    """The numbers of all ranges [start, stop), one range after the other."""
    sizes = stop - start
    found: Ints = np.arange(sizes.sum()) + np.repeat(start - (np.cumsum(sizes) - sizes), sizes)
    return found


def _by_group(past: pl.DataFrame, ids: NDArray[np.uint64]) -> tuple[Ints, Floats, Ints]:
    """Time, value and where each group's begin, of points (sorted by series and time) of these groups' series."""
    series = past["series"].to_numpy()
    start, stop = np.searchsorted(series, ids), np.searchsorted(series, ids, side="right")
    rows = _ranges(start, stop)
    return past["time"].to_numpy()[rows], past["value"].to_numpy()[rows], np.append(0, np.cumsum(stop - start))


def _spread(found: pl.DataFrame, ids: NDArray[np.uint64], latest: Ints) -> None:
    number = {int(one): group for group, one in enumerate(ids.tolist())}
    for series, time in found.select("series", "time").iter_rows():
        latest[number[series]] = time


@lru_cache(maxsize=1 << 16)
def _series(tenant: str, feed: str, tags: tuple[tuple[str, str], ...], field: str) -> int:
    return series_id(tenant, feed, dict(tags), field)
