"""Evaluates checks that compare a record with the earlier points of its series (contract: `checks/history.py`). Pure:
the past comes from a collaborator, read once for each field that such a rule looks at.

A series whose records come in the order of their times is evaluated as columns: first as if all of its records were
accepted; then again without those that were rejected, until nothing changes. (Only earlier records decide about a
record, so with each turn a longer beginning of the rows is right, and two equal turns are right as a whole.)
Where that takes too many turns, and where times are out of order, records are evaluated one by one.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
import polars as pl

from tidemill.checks.look_back import RESTART, Bools, Floats, Ints, LookBack, PastCheck, Rows
from tidemill.decode.batch import Batch
from tidemill.feeds.definition import Feed
from tidemill.model.ids import series_id
from tidemill.rules.history_columns import (
    NEVER,
    FrameColumns,
    group_past,
    ranges,
    row_order,
    with_rejected,
    write_latest,
)
from tidemill.rules.history_lookup import HistoryLookup
from tidemill.rules.sequential import SequentialEvaluator

_MAX_TURNS: Final = 4  # as columns; a record that is wrong alone and the good one after it take three
_STRETCH: Final = 64  # records evaluated one by one before columns are tried again; each time twice as many
_PIECE: Final = 10_000  # records from one heartbeat to the next


class HistoryTest(msgspec.Struct, frozen=True):
    """A check, its reason code, and whether a record that breaks it is rejected (else it is flagged). `resumes`: a
    record that only such checks reject belongs to their past."""

    check: PastCheck
    rejects: bool
    code: str
    resumes: bool


def evaluate_history(
    feed: Feed, tests: Sequence[HistoryTest], frame: pl.DataFrame, batch: Batch, lookup: HistoryLookup
) -> list[Bools]:
    """For each test, a boolean per row of `frame`: whether the row breaks it. The frame has `seq`, `idx`, `identity`,
    `time`, `f.<field>` and `refused`: true for rows that are rejected for other reasons; these are evaluated, but are
    the past of no other row."""
    broken = [np.zeros(frame.height, np.bool_) for _ in tests]
    order = row_order(frame)
    if not len(order):
        return broken
    evaluation = _HistoryEvaluation(feed, tests, FrameColumns(frame, order), batch, lookup)
    for column, hits in zip(broken, evaluation.evaluate(), strict=True):
        column[order] = hits
    return broken


class _Field(msgspec.Struct, frozen=True):
    """One number field: which rows have a value (`there`), and the `values` (NaN: none); the past of all groups one
    after the other: `time`, `value` (NaN: a point without one), and where each group's past begins, with the end of the
    last; the `latest` time of each group (NEVER: none); and the past without points that have no value (`held_*`).
    `resumes`: for checks that resume. Then the `rejected` times of each group, which begin at `rejected_begin`, are
    among `held_time`, with RESTART as the value, where no point with a value is; and rejected rows count, those that
    are in `counts`."""

    there: Bools
    values: Floats
    time: Ints
    value: Floats
    begin: Ints
    latest: Ints
    held_time: Ints
    held_value: Floats
    held_begin: Ints
    resumes: bool
    rejected: Ints
    rejected_begin: Ints
    counts: Bools

    def rejected_of(self, group: int) -> Ints | None:
        """The times of a group's rejected records; None where they do not count."""
        return self.rejected[self.rejected_begin[group] : self.rejected_begin[group + 1]] if self.resumes else None

    def past_of(self, group: int) -> tuple[Ints, Floats, int | None]:
        """(times, values, latest time or None) of a group's past."""
        part = slice(self.begin[group], self.begin[group + 1])
        latest = int(self.latest[group])
        return self.time[part], self.value[part], None if latest == NEVER else latest


class _HistoryEvaluation:
    """The evaluation of one batch. Rows are in the order of (identity, seq, idx); a group is the rows of one identity:
    its series depend on no others. `_begin` has the first row of each group, and the end of the last."""

    def __init__(
        self, feed: Feed, tests: Sequence[HistoryTest], columns: "FrameColumns", batch: Batch, lookup: HistoryLookup
    ) -> None:
        self._feed = feed
        self._lookup = lookup
        self._contends = feed.first_wins or feed.shape.kind == "summary"
        identity = columns["identity"]
        starts = np.flatnonzero(np.diff(identity, prepend=identity[0] + 1) != 0)
        self._begin = np.append(starts, len(identity))
        self._group = np.repeat(np.arange(len(starts)), np.diff(self._begin))
        self._time = columns["time"]
        self._refused = columns["refused"]
        self._codes = tuple(sorted({test.code for test in tests if test.resumes}))
        lines = list(dict.fromkeys(map(self._line, tests)))
        self._checks = [(test.check, lines.index(self._line(test)), test.rejects, test.resumes) for test in tests]
        tags = batch.identities["tags"].gather(identity[starts]).to_list()
        self._tags = [tuple((pair["key"], pair["value"]) for pair in pairs) for pairs in tags]
        self._fields = [
            self._read_field(name, columns[f"f.{name}"], lookup, number=number, resumes=resumes)
            for number, (name, resumes) in enumerate(lines)
        ]
        self._broken = [np.zeros(len(identity), np.bool_) for _ in tests]
        self._accepted = ~self._refused
        self._resumed = np.zeros(len(identity), np.bool_)  # only checks that resume reject the row
        self._settled = self._begin[:-1].copy()  # the results of a group's rows before this are final
        self._evaluators: dict[int, SequentialEvaluator] = {}

    def evaluate(self) -> list[Bools]:
        """For each check, a boolean per row: whether the row breaks it."""
        disordered = self._disordered()
        for group in np.flatnonzero(disordered).tolist():
            self._evaluate_rows(group, int(self._begin[group]), int(self._begin[group + 1]))
        active, stretch = np.flatnonzero(~disordered), _STRETCH
        while len(active):
            active = self._evaluate_columns(active)
            for group, row in zip(active.tolist(), self._settled[active].tolist(), strict=True):
                self._evaluate_rows(group, row, min(row + stretch, int(self._begin[group + 1])))
            active = active[self._settled[active] < self._begin[active + 1]]
            stretch *= 2
        return self._broken

    def _disordered(self) -> Bools:
        """Boolean per group: whether its times do not ascend, or are not later than all of its past."""
        falls = np.diff(self._time) <= 0
        falls[self._begin[1:-1] - 1] = False  # from one group to the next
        disordered = np.zeros(len(self._begin) - 1, np.bool_)
        disordered[self._group[1:][falls]] = True
        first = self._time[self._begin[:-1]]
        for field in self._fields:
            held = field.begin[1:] > field.begin[:-1]
            disordered[held] |= field.time[field.begin[1:][held] - 1] >= first[held]
            held = field.rejected_begin[1:] > field.rejected_begin[:-1]
            disordered[held] |= field.rejected[field.rejected_begin[1:][held] - 1] >= first[held]
            disordered |= field.latest >= first
        return disordered

    def _evaluate_columns(self, active: Ints) -> Ints:
        """Evaluate groups as columns; returns the groups that are not finished, settled up to their first row in
        doubt."""
        for _ in range(_MAX_TURNS):
            rows = ranges(self._settled[active], self._begin[active + 1])
            accepted, resumed = self._accepted[rows], self._resumed[rows]
            self._evaluate_once(active, rows)
            changed = rows[(self._accepted[rows] != accepted) | (self._resumed[rows] != resumed)]
            self._settled[active] = self._begin[active + 1]
            active, at = np.unique(self._group[changed], return_index=True)
            self._settled[active] = changed[at]
            if not len(active):
                break
        return active

    def _evaluate_once(self, active: Ints, rows: Ints) -> None:
        """Evaluate these rows (of the `active` groups, to their ends) by the rows that count as accepted, and update
        which rows do."""
        refused, fell = self._refused[rows].copy(), np.zeros(len(rows), np.bool_)
        views = [self._rows_with_past(field, active, rows) for field in self._fields]
        for number, (check, field, rejects, resumes) in enumerate(self._checks):
            with_value, view = views[field]
            hits = np.zeros(len(rows), np.bool_)
            hits[with_value] = check.judge_rows(view)
            self._broken[number][rows] = hits
            if resumes:
                fell |= hits
            elif rejects:
                refused |= hits
        self._accepted[rows] = ~(refused | fell)
        self._resumed[rows] = fell & ~refused

    def _rows_with_past(self, field: _Field, active: Ints, rows: Ints) -> tuple[Ints, Rows]:
        """(which of `rows` have a value, these rows with their past). `rows` are the unsettled rows of the `active`
        groups; a group's past is its earlier points, then its own accepted rows."""
        whole = len(active) == len(self._begin) - 1
        every: slice | Ints = slice(None) if whole else ranges(self._begin[active], self._begin[active + 1])
        sizes, before = np.diff(self._begin)[active], np.diff(field.held_begin)[active]
        slot = self._group if whole else np.repeat(np.arange(len(active)), sizes)
        begin = np.cumsum(sizes) - sizes
        taken = self._accepted[every] & field.there[every]
        fallen = self._resumed[every] & field.counts[every] if field.resumes else None
        taken = taken if fallen is None else taken | fallen
        running: Ints = np.append(0, np.cumsum(taken))
        counts = before + running[begin + sizes] - running[begin]
        first: Ints = np.cumsum(counts) - counts
        stop = running[:-1] + (first + before - running[begin])[slot]
        time, value = np.empty(counts.sum(), np.int64), np.empty(counts.sum())
        held = ranges(field.held_begin[active], field.held_begin[active + 1])
        at = ranges(first, first + before)
        time[at], value[at] = field.held_time[held], field.held_value[held]
        time[stop[taken]], value[stop[taken]] = self._time[every][taken], field.values[every][taken]
        if fallen is not None:
            value[stop[fallen]] = RESTART
        chosen = np.flatnonzero(field.there[rows])
        # The unsettled rows of a group are its last ones.
        offset = ranges(begin + (self._settled - self._begin[:-1])[active], begin + sizes)[chosen]
        times, values = self._time[rows[chosen]], field.values[rows[chosen]]
        return chosen, Rows(times, values, first[slot[offset]], stop[offset], time, value)

    def _evaluate_rows(self, group: int, start: int, stop: int) -> None:
        """Evaluate the rows of a group from `start` to `stop` one by one; the rows before them are settled."""
        for at in range(start, stop, _PIECE):
            self._lookup.turn()
            self._evaluate_piece(group, at, min(at + _PIECE, stop))

    def _evaluate_piece(self, group: int, start: int, stop: int) -> None:
        begin, end = int(self._begin[group]), int(self._begin[group + 1])
        evaluator = self._evaluators.get(group)
        if evaluator is None:
            evaluator = self._evaluators[group] = SequentialEvaluator(
                self._time[begin:end],
                [field.values[begin:end] for field in self._fields],
                [field.past_of(group) for field in self._fields],
                first_wins=self._feed.first_wins,
                contends=self._contends,
                rejected=[field.rejected_of(group) for field in self._fields],
                everywhere=self._feed.registers is None,
            )
        skipped = slice(begin + evaluator.at, start)
        evaluator.skip_rows(self._accepted[skipped].tolist(), self._resumed[skipped].tolist())
        refused = self._refused[start:stop].tolist()
        hits = [evaluator.judge_row(self._checks, refused=is_refused) for is_refused in refused]
        accepted, fell = ~self._refused[start:stop], np.zeros(stop - start, np.bool_)
        for number, (_, _, rejects, resumes) in enumerate(self._checks):
            column = np.fromiter((row[number] for row in hits), np.bool_, stop - start)
            self._broken[number][start:stop] = column
            if resumes:
                fell |= column
            elif rejects:
                accepted &= ~column
        self._accepted[start:stop] = accepted & ~fell
        self._resumed[start:stop] = accepted & fell
        self._settled[group] = stop

    def _line(self, test: HistoryTest) -> tuple[str, bool]:
        """The field of a test, and whether rejected records belong to its past."""
        return test.check.field, test.check.resumes and bool(self._codes)

    def _read_field(self, name: str, values: Floats, lookup: HistoryLookup, *, number: int, resumes: bool) -> _Field:
        """Read the past of one field's series, for the checks of this line."""
        reach = LookBack()
        for check, line, _, _ in self._checks:
            if line == number:
                reach = reach.combine(check.reach())
        ids = np.array([_series(lookup.tenant, self._feed.name, tags, name) for tags in self._tags], np.uint64)
        there = ~np.isnan(values)
        instants = pl.DataFrame({"series": ids[self._group[there]], "time": self._time[there]})
        time, value, begin = np.empty(0, np.int64), np.empty(0), np.zeros(len(ids) + 1, np.int64)
        latest = np.full(len(ids), NEVER)
        if reach.count or reach.span_ns or self._feed.first_wins:
            policy, before = self._feed.duplicates, lookup.before_seq
            past = lookup.past.points(lookup.tenant, instants, reach, before_seq=before, policy=policy)
            time, value, begin = group_past(past, ids)
        if reach.latest:
            since = instants.group_by("series").agg(pl.col("time").min())
            write_latest(lookup.past.latest(lookup.tenant, since, before_seq=lookup.before_seq), ids, latest)
        held = ~np.isnan(value)
        past_held = time[held], value[held], np.append(0, np.cumsum(held))[begin]
        counts = there if self._feed.registers is not None else np.ones(len(there), np.bool_)
        rejected, rejected_begin = np.empty(0, np.int64), np.zeros(len(ids) + 1, np.int64)
        if resumes:
            instants = pl.DataFrame({"series": ids[self._group], "time": self._time})
            fallen = lookup.past.rejected(
                lookup.tenant,
                self._feed.name,
                instants,
                within_ns=reach.within_ns,
                codes=self._codes,
                before_seq=lookup.before_seq,
            )
            rejected, _, rejected_begin = group_past(fallen.with_columns(value=pl.lit(RESTART)), ids)
            past_held = with_rejected(*past_held, rejected=rejected, rejected_begin=rejected_begin)
        return _Field(
            there=there,
            values=values,
            time=time,
            value=value,
            begin=begin,
            latest=latest,
            held_time=past_held[0],
            held_value=past_held[1],
            held_begin=past_held[2],
            resumes=resumes,
            rejected=rejected,
            rejected_begin=rejected_begin,
            counts=counts,
        )


@lru_cache(maxsize=1 << 16)
def _series(tenant: str, feed: str, tags: tuple[tuple[str, str], ...], field: str) -> int:
    return series_id(tenant, feed, dict(tags), field)
