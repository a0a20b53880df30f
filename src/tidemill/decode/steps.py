"""Times that are counted from the first record of a list: its time and the step are read once, record n is n steps on.

The decoder writes down begin and steps; `rules/time.py` adds them, because zone, shift and ends of intervals apply to
the begin. A list whose begin or step cannot be read is at fault as a whole: no record of it has a time.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.plan import BeginPlan, OuterPart
from tidemill.decode.sample_times import even_offsets
from tidemill.decode.strict import Record, outer_path, read_record
from tidemill.decode.strict_json import as_written, json_type
from tidemill.decode.strict_values import read_number
from tidemill.decode.times import INSTANT, LOCAL_MAX_NS
from tidemill.feeds.steps import check_step, parse_sent_step
from tidemill.model.spans import Span
from tidemill.model.time import MAX_NS, NS_PER_S

STEP_NS: Final = "step_ns"  # column of a batch: what a record is later than the first one
STEP_COUNT: Final = "step_count"  # column of a batch: steps of the calendar since the first record
_LONG: Final = 60  # digits: beyond, the exact fraction of a number would be immense
_LONGEST_MONTH_NS: Final = 31 * 86_400 * NS_PER_S


class ListBegin(msgspec.Struct, frozen=True):
    """A list of a payload (by its number), whose first record has the index `first`, and its times."""

    payload: int
    first: int
    times: "ListTimes"


class ListTimes(msgspec.Struct, frozen=True):
    """The times of a list: begin (`wall_ns`, `local` as in a batch; the `zone` that the record names) and step."""

    wall_ns: int
    local: int
    zone: str | None
    step: Fraction | Span


def read_list_times(
    value: Any,
    path: str,
    plan: BeginPlan,
    *,
    count: int,
    faults: FaultCollector,
    around: Iterable[tuple[OuterPart, Record]] = (),
) -> ListTimes | None:
    """The times of a list of `count` records by its first record, `value` (parsed with digits) at `path`, and by what
    is `around` it; None with faults."""
    own = FaultCollector()
    record = read_record(value, path, plan.plan, own, around)
    if not record.timed or set(own.codes()) - {"not_finite"}:  # NaN elsewhere in the record is a fault of it alone
        faults.extend(own)
        return None
    step = plan.step if plan.step is not None else _read_step(record, path, plan, faults, around)
    zone = plan.plan.column_number("zone")
    if step is None:
        return None
    times = ListTimes(record.wall_ns, record.local, None if zone is None else record.values[zone], step)
    if not _is_within(times, count):
        assert record.time is not None
        faults.add(record.time[0], "time_out_of_range", "the list reaches outside 1900-01-01 to 2262-04-11")
        return None
    return times


def step_columns(
    steps: Sequence[Fraction | Span | None], rows: NDArray[np.int64], indexes: NDArray[np.int64]
) -> pl.Series:
    """How much later each record is than the first of its list: STEP_NS, or STEP_COUNT for steps of the calendar.
    `steps`: of each payload (None: it has no row); `rows`, `indexes`: payload and index of each record."""
    if any(isinstance(step, Span) for step in steps):
        return pl.Series(STEP_COUNT, indexes.astype(np.int64))
    offsets = np.zeros(len(rows), np.int64)
    owners: dict[Fraction, list[int]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, Fraction):
            owners.setdefault(step, []).append(number)
    for step, numbers in owners.items():
        mask = np.isin(rows, numbers) if len(owners) > 1 else np.ones(len(rows), np.bool_)
        if mask.any():
            offsets[mask] = _offsets(step, indexes[mask])
    return pl.Series(STEP_NS, offsets)


def _offsets(step: Fraction, indexes: NDArray[np.int64]) -> NDArray[np.int64]:
    """round(index * step), exactly; MAX_NS, which no time is behind another, for what an int64 cannot hold."""
    known = min(int(indexes.max()), int((MAX_NS - 1) / step))
    return np.where(indexes <= known, even_offsets(step, known + 1)[np.minimum(indexes, known)], MAX_NS)


def begin_columns(
    begins: Sequence[ListBegin], rows: NDArray[np.int64], indexes: NDArray[np.int64], *, zones: bool
) -> dict[str, Any]:
    """The columns `wall_ns`, `local`, `zone` (with `zones`) and the step of records, each of which is in a list of
    `begins`; `rows`, `indexes`: payload and index in it of each record."""
    known = sorted(begins, key=lambda begin: (begin.payload, begin.first))
    keys = np.array([begin.payload << 32 | begin.first for begin in known], np.int64)
    lists = np.maximum(np.searchsorted(keys, rows << 32 | indexes, side="right") - 1, 0)
    firsts = np.array([begin.first for begin in known], np.int64)
    wall_ns = np.array([begin.times.wall_ns for begin in known], np.int64)
    local = np.array([begin.times.local for begin in known], np.uint8)
    columns: dict[str, Any] = {"wall_ns": wall_ns[lists], "local": local[lists]}
    if zones:
        names = pl.Series("zone", [begin.times.zone for begin in known], dtype=pl.String)
        columns["zone"] = names.gather(pl.Series(lists, dtype=pl.UInt32))
    step = step_columns([begin.times.step for begin in known], lists, indexes - firsts[lists])
    return columns | {step.name: step}


def of_number(number: Any, unit_ns: int) -> Fraction:
    """A step of so many units, exactly as the number was written. Raises ValueError with a sentence."""
    return check_step(_exact(number) * unit_ns)


def of_rate(rate: Any) -> Fraction:
    """The step (ns) of a rate in Hz, exactly as the number was written. Raises ValueError with a sentence."""
    exact = _exact(rate)
    if not 0 < exact <= NS_PER_S:
        raise ValueError("a rate is above 0 and at most 1e9 records a second")
    return check_step(NS_PER_S / exact)


def _exact(number: Any) -> Fraction:
    """A finite number as it was written; one of hundreds of digits or of an immense exponent as its double."""
    written = as_written(number)
    if isinstance(written, Decimal) and (len(number.text) > _LONG or abs(written.adjusted()) > _LONG):
        written = float(number)
    return Fraction(written)


def _read_step(
    record: Record, path: str, plan: BeginPlan, faults: FaultCollector, around: Iterable[tuple[OuterPart, Record]]
) -> Fraction | None:
    """The step that the first record, or what is around it, has; None with a fault."""
    number = next(number for number, column in enumerate(plan.plan.columns) if column.kind in ("step", "rate"))
    column, value = plan.plan.columns[number], record.values[number]
    outer = next((read for part, read in around if number in part.columns), None)
    where = column.path_in(path) if outer is None else outer_path(outer, column)
    try:
        if isinstance(value, str) and column.kind == "step" and plan.unit_ns is None:
            return parse_sent_step(value, local=record.local != INSTANT)
        if isinstance(value, str):
            faults.add(where, "wrong_type", "must be a number, is a text")
            return None
        before = faults.count
        read_number(value, where, None, faults)
        if faults.count > before:
            return None
        if column.kind == "rate":
            return of_rate(value)
        if plan.unit_ns is not None:
            return of_number(value, plan.unit_ns)
    except ValueError as error:
        faults.add(where, "invalid_value", str(error))
        return None
    faults.add(where, "wrong_type", f"must be a duration such as 15m, is {json_type(value)}: name its step_unit")
    return None


def _is_within(times: ListTimes, count: int) -> bool:
    """Whether the last of `count` records has a time that the store can hold, whatever the zone."""
    step = times.step
    if isinstance(step, Span):
        length = (count - 1) * (step.days * 86_400 * NS_PER_S + step.months * _LONGEST_MONTH_NS)
    else:
        length = int((count - 1) * step) + 1
    return times.wall_ns + length <= (LOCAL_MAX_NS if times.local else MAX_NS)
