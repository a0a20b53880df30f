"""Collects the times of rejected records, where these could be read, so that the rules can resolve their instants.

A frame of stamps has a row for each record (`seq`, `idx`) and the columns of a batch's frame that the instant depends
on: `received_ns`, `wall_ns`, `local`, and those that give local times their zone.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.plan import DecodePlan
from tidemill.decode.strict import Record
from tidemill.model.payload import LogEntry

_LIMITS = (90.0, 180.0)  # degrees of latitude and longitude; beyond, there is no zone


class Stamps:
    """Collects the times of rejected records."""

    def __init__(self, plan: DecodePlan) -> None:
        self._received = plan.time_received
        self._payloads, self._indexes, self._wall_ns, self._local = array("L"), array("L"), array("q"), bytearray()
        self._zone = plan.column_number("zone")
        self._zones: list[Any] = []
        limits_by_column = zip(plan.position_columns or (), _LIMITS, strict=False)
        self._position_columns = [(name, plan.column_number(name), most) for name, most in limits_by_column]
        self._degrees: list[list[float | None]] = [[] for _ in self._position_columns]

    def add(self, payload: int, index: int, record: Record) -> None:
        """Add the time of a record; `payload` is the payload's number among those that are read."""
        self._payloads.append(payload)
        self._indexes.append(index)
        self._wall_ns.append(record.wall_ns)
        self._local.append(record.local)
        if self._zone is not None:
            self._zones.append(record.values[self._zone])
        for degrees, (_, number, most) in zip(self._degrees, self._position_columns, strict=True):
            assert number is not None
            degrees.append(_within(record.values[number], most))

    def payloads(self) -> NDArray[np.int64]:
        """The payload's number of each record."""
        return np.array(self._payloads, np.int64)

    def indexes(self) -> NDArray[np.int64]:
        """The index in its payload of each record."""
        return np.array(self._indexes, np.int64)

    def frame(self, payloads: Sequence[LogEntry]) -> pl.DataFrame:
        """The frame of stamps; `payloads` are those that were read."""
        rows = self.payloads()
        wall_ns = np.array(self._wall_ns, np.int64)
        received = np.array([logged.payload.received_ns for logged in payloads], np.int64)[rows]
        if self._received:
            wall_ns = received
        data = [
            pl.Series("seq", np.array([logged.seq for logged in payloads], np.uint64)[rows]),
            pl.Series("idx", np.array(self._indexes, np.uint32)),
            pl.Series("received_ns", received),
            pl.Series("wall_ns", wall_ns),
            pl.Series("local", np.array(self._local, np.uint8)),
        ]
        if self._zone is not None:
            data.append(pl.Series("zone", self._zones, dtype=pl.String))
        for (name, _, _), degrees in zip(self._position_columns, self._degrees, strict=True):
            data.append(pl.Series(name, degrees, dtype=pl.Float64))
        return pl.DataFrame(data)


def _within(value: Any, most: float) -> float | None:
    return value if isinstance(value, float) and abs(value) <= most else None
