"""When faulty records were, as far as their time could be read on its own: what the rules need to give them an instant.

A frame of stamps has a row a record (`seq`, `idx`) and the columns of a batch's frame that tell the time: `wall_ns`,
`local`, and where local times have their zone from.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from tidemill.decode.plan import Plan
from tidemill.decode.strict import Record
from tidemill.model.payload import Logged

_LIMITS = (90.0, 180.0)  # degrees of latitude and longitude; beyond, there is no zone


def stamps(plan: Plan, records: Sequence[tuple[Logged, int, Record]]) -> pl.DataFrame:
    """The stamps of (payload, index, record), of those whose time was read."""
    timed = [one for one in records if one[2].timed]
    received = plan.time_format == "received"
    data = [
        pl.Series("seq", [logged.seq for logged, _, _ in timed], dtype=pl.UInt64),
        pl.Series("idx", [index for _, index, _ in timed], dtype=pl.UInt32),
        pl.Series(
            "wall_ns",
            [logged.payload.received_ns if received else record.wall_ns for logged, _, record in timed],
            dtype=pl.Int64,
        ),
        pl.Series("local", [record.local for _, _, record in timed], dtype=pl.Boolean),
    ]
    if (zone := plan.number("zone")) is not None:
        data.append(pl.Series("zone", [record.values[zone] for _, _, record in timed], dtype=pl.String))
    for name, most in zip(plan.position or (), _LIMITS, strict=False):
        number = plan.number(name)
        assert number is not None
        degrees = [_within(record.values[number], most) for _, _, record in timed]
        data.append(pl.Series(name, degrees, dtype=pl.Float64))
    return pl.DataFrame(data)


def _within(value: Any, most: float) -> float | None:
    return value if isinstance(value, float) and abs(value) <= most else None
