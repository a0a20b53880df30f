"""Reads what is around the records of a payload once: what holds an object of arrays, or a list whose times are counted
from its begin."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from tidemill.decode.derived import derived_columns
from tidemill.decode.fast import DecodedColumns, times_good
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.nest import Nest
from tidemill.decode.outer import MAX_REPEATED, OuterReader, part_plan
from tidemill.decode.plan import DecodePlan, OuterPart
from tidemill.decode.strict import Record
from tidemill.decode.time_formats import with_offsets
from tidemill.decode.times import LocalTimes
from tidemill.feeds.levels import levels_above
from tidemill.feeds.paths import in_record

Surroundings = Sequence[tuple[OuterPart, Record]]


class AroundReader:
    """Reads the parts around records. `noted`: the names of members to note when a payload is cut. Thread-safe."""

    def __init__(self, plan: DecodePlan, max_depth: int) -> None:
        levels = levels_above(plan.records)
        self._parts = [OuterReader(plan, part, levels, max_depth) for part in plan.outer]
        self.noted = {part.step: part.names for part in self._parts if part.names}

    def read_around(self, body: bytes, nest: Nest | None, record: int, faults: FaultCollector) -> Surroundings:
        """What is around a record, by the strict reader; its faults are added. `nest` is None without parts only."""
        if nest is None:
            return []
        nest.add_group_faults(body, record, faults)
        return [(part.part, part.read_one(body, nest, record, faults)) for part in self._parts]

    def repeats_too_much(self, nest: Nest | None, records: int) -> bool:
        """Whether what is around so many records is more than may be repeated for each."""
        return nest is not None and sum(part.repeated_bytes(nest, records) for part in self._parts) > MAX_REPEATED


def own_plan(plan: DecodePlan) -> DecodePlan:
    """The plan of the columns in records of arrays alone, without those around them."""
    if not plan.outer:
        return plan
    own = part_plan(plan, _own_columns(plan), plan.except_keys)
    return msgspec.structs.replace(own, records=plan.records, columnar=plan.columnar, begin=plan.begin)


def with_surroundings(columns: DecodedColumns, plan: DecodePlan, around: Surroundings) -> DecodedColumns | None:
    """The columns of `own_plan` with those of what is around, which hold for each record. None if a time is not certain
    to be without fault."""
    if not plan.outer:
        return columns
    count, times = columns.count, columns.times
    values: list[list[Any]] = [[] for _ in plan.columns]
    for number, column in zip(_own_columns(plan), columns.values, strict=True):
        values[number] = column
    offsets = columns.offsets
    for part, record in around:
        for number in part.columns:
            values[number] = [record.values[number]] * count
        if record.time is not None:
            ns, local = np.full(count, record.wall_ns), np.full(count, record.local, np.uint8)
            times = LocalTimes(ns, local, np.ones(count, np.bool_))
        if record.offset_s is not None:
            offsets = [record.offset_s] * count
    if offsets is not None:
        times = with_offsets(times, offsets)
    derived = derived_columns(plan, values)
    if derived is None or not times_good(times, plan):
        return None
    return msgspec.structs.replace(columns, times=times, values=values + derived, offsets=None)


def _own_columns(plan: DecodePlan) -> list[int]:
    return [number for number, column in enumerate(plan.columns) if in_record(column.keys)]
