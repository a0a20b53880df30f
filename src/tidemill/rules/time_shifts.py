"""Moves the times of a feed: by its fixed shift, and from the end of an interval to its begin. Pure, a column at a
time."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.feeds.time_policy import Shift, TimePolicy
from tidemill.model.iso8601 import parse_iso
from tidemill.model.spans import Span, parse_span
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, duration_ns
from tidemill.rules.zones import to_instants, to_wall_ns

OUT_OF_RANGE: Final = MIN_NS - 3 * 86_400 * NS_PER_S  # a time that is past what the store can hold, whatever its zone


def apply_shift(shift: Shift, frame: pl.DataFrame, wall: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Add a feed's shift to `wall` (ns, in place) where its conditions hold; returns a boolean per row: where they do.
    A sum beyond the range becomes OUT_OF_RANGE."""
    length_ns = duration_ns(shift.by.removeprefix("-"))
    holds = np.ones(len(wall), np.bool_)
    if shift.before is not None:
        holds &= wall < _shift_bound_ns(shift.before)
    if shift.after is not None:
        holds &= wall >= _shift_bound_ns(shift.after)
    if shift.older_than is not None:
        holds &= wall < frame["received_ns"].to_numpy() - duration_ns(shift.older_than)
    back = shift.by.startswith("-")
    length_ns = min(length_ns, MAX_NS)
    past = holds & ((wall < MIN_NS + length_ns) if back else (wall > MAX_NS - length_ns))
    wall[holds] += np.int64(-length_ns if back else length_ns)
    wall[past] = OUT_OF_RANGE
    return holds


def calendar_span(time: TimePolicy) -> Span | None:
    """The span of the calendar intervals whose ends are the times; None for intervals of a fixed length, and where
    times are no ends of intervals."""
    span = _span(time)
    return span if span is not None and span.of_calendar else None


def fixed_interval_ns(time: TimePolicy) -> int:
    """The length (ns) of the intervals whose ends are the times; 0 for calendar intervals, and where times are no ends
    of intervals."""
    span = _span(time)
    return 0 if span is None else span.fixed_ns


def interval_begins(time: TimePolicy, ns: NDArray[np.int64], local: NDArray[np.bool_], span: Span) -> NDArray[np.int64]:
    """Ends of calendar intervals -> their begins (ns). Rows that are `local` are wall clocks and stay so; instants are
    moved on the wall clock of the feed's zone (of UTC without one)."""
    wall_ns = ns.copy()
    there = np.flatnonzero(~local)
    if time.zone is not None and len(there):
        wall_ns[there] = to_wall_ns(ns[there], time.zone)
    known, rows = np.unique(wall_ns, return_inverse=True)
    begins = np.array([span.before(wall) if wall > MIN_NS else wall for wall in known.tolist()], np.int64)[rows]
    if time.zone is not None and len(there):
        begins[there] = to_instants(begins[there], np.zeros(len(there), np.int64), [time.zone]).earlier
    return begins


def step_calendar(time: TimePolicy, ns: NDArray[np.int64], local: NDArray[np.bool_], steps: NDArray[np.int64]) -> None:
    """Move times (ns, in place) by so many `steps` of the feed's calendar step. Rows that are `local` are wall clocks
    and stay so; instants move on the wall clock of the feed's zone (of UTC without one), where a gap is passed over
    forward and of a fold the earlier instant is taken. A time beyond the range becomes OUT_OF_RANGE."""
    span = parse_span(time.step or "")
    there = np.flatnonzero(~local)
    wall_ns = ns.copy()
    if time.zone is not None and len(there):
        wall_ns[there] = to_wall_ns(ns[there], time.zone)
    pairs, rows = np.unique(np.stack([wall_ns, steps]), axis=1, return_inverse=True)
    moved = np.array([_moved(span, *pair) for pair in pairs.T.tolist()], np.int64)[rows.reshape(-1)]
    if time.zone is not None and len(there):
        moved[there] = to_instants(moved[there], np.zeros(len(there), np.int64), [time.zone]).earlier
    ns[:] = moved


def add_steps(ns: NDArray[np.int64], steps_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Instants (ns) plus lengths of time, which are not negative. A sum beyond the range, and a length of MAX_NS,
    become OUT_OF_RANGE."""
    past = (ns > MAX_NS - steps_ns) | (steps_ns == MAX_NS) | (ns < MIN_NS)
    return np.where(past, OUT_OF_RANGE, np.where(past, 0, ns) + np.where(past, 0, steps_ns))


def _moved(span: Span, wall_ns: int, count: int) -> int:
    try:
        moved = span.moved(wall_ns, count)
    except ValueError:
        return OUT_OF_RANGE
    return moved if OUT_OF_RANGE <= moved <= MAX_NS else OUT_OF_RANGE


def _span(time: TimePolicy) -> Span | None:
    return parse_span(time.interval) if time.stamp == "end" and time.interval is not None else None


def _shift_bound_ns(text: str) -> int:
    written = parse_iso(text)
    return written.wall_ns - (written.offset_s or 0) * NS_PER_S
