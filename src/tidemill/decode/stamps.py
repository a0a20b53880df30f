"""When faulty records were, as far as their time could be read on its own: what the rules need to give them an instant.

A frame of stamps has a row a record (`seq`, `idx`) and the columns of a batch's frame that tell the time: `wall_ns`,
`local`, and where local times have their zone from.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tidemill.decode.plan import DecodePlan
from tidemill.decode.strict import Record
from tidemill.model.payload import LogEntry

_LIMITS = (90.0, 180.0)  # degrees of latitude and longitude; beyond, there is no zone


class Stamps:
    """Takes the faulty records whose time was read."""

    def __init__(self, plan: DecodePlan) -> None:
        self._received = plan.time_format == "received"
        self._payloads, self._indexes, self._walls, self._local = array("L"), array("L"), array("q"), bytearray()
        self._zone = plan.number("zone")
        self._zones: list[Any] = []
        position = zip(plan.position or (), _LIMITS, strict=False)
        self._position = [(name, plan.number(name), most) for name, most in position]
        self._degrees: list[list[float | None]] = [[] for _ in self._position]

    def add(self, payload: int, index: int, record: Record) -> None:
        """Note the time of a record of a payload (its number in what is read)."""
        self._payloads.append(payload)
        self._indexes.append(index)
        self._walls.append(record.wall_ns)
        self._local.append(record.local)
        if self._zone is not None:
            self._zones.append(record.values[self._zone])
        for degrees, (_, number, most) in zip(self._degrees, self._position, strict=True):
            assert number is not None
            degrees.append(_within(record.values[number], most))

    def frame(self, payloads: Sequence[LogEntry]) -> pl.DataFrame:
        """The stamps, of these payloads."""
        rows = np.array(self._payloads, np.int64)
        walls = np.array(self._walls, np.int64)
        if self._received:
            walls = np.array([logged.payload.received_ns for logged in payloads], np.int64)[rows]
        data = [
            pl.Series("seq", np.array([logged.seq for logged in payloads], np.uint64)[rows]),
            pl.Series("idx", np.array(self._indexes, np.uint32)),
            pl.Series("wall_ns", walls),
            pl.Series("local", np.array(self._local, np.bool_)),
        ]
        if self._zone is not None:
            data.append(pl.Series("zone", self._zones, dtype=pl.String))
        for (name, _, _), degrees in zip(self._position, self._degrees, strict=True):
            data.append(pl.Series(name, degrees, dtype=pl.Float64))
        return pl.DataFrame(data)


def _within(value: Any, most: float) -> float | None:
    return value if isinstance(value, float) and abs(value) <= most else None
