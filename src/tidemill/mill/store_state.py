"""The state of the store that `decide` needs besides the batch. Frames only.

Every frame may have more rows than the batch concerns: `decide` selects those that it needs.
"""

from typing import Any, Final

import msgspec
import polars as pl

from tidemill.mill.changes import CHANGED
from tidemill.mill.known import SERIES_STATES
from tidemill.mill.tombstones import TOMBSTONES
from tidemill.rules.submissions import SUBMITTED

# The current row of each point at the instants of a batch, also where its series is deleted (seq <= deleted_seq).
CURRENT: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "ordinal": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
    "version": pl.Int64,
    "received_ns": pl.Int64,
}
# Sealed windows, and the last payload that could count for each.
SEALED: Final[dict[str, Any]] = {"series": pl.UInt64, "window": pl.Int64, "sealed_seq": pl.UInt64}
# Records that were rejected when their payload was applied before.
EARLIER: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "reasons": pl.List(pl.String),
    "detail": pl.String,
    "winner_seq": pl.UInt64,
    "winner_idx": pl.UInt32,
}
SEQS: Final = pl.Series("seq", [], dtype=pl.UInt64)


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the store for one feed's batch.

    `series`: SERIES_STATES of every series of the batch. `tombstones`: TOMBSTONES of its payloads. `current`: CURRENT.
    `submitted`: SUBMITTED of its records' times, for a feed that compares local times. `sealed`: SEALED of its windows,
    for a feed that seals. `earlier`: EARLIER of records whose series was deleted or whose window was sealed since.
    `applied`: those of its payloads that were applied before. `announced`: the CHANGED points that an earlier attempt
    at it wrote to `changes`; `retried_from`: its first payload if there may have been such an attempt, else 0.
    """

    series: pl.DataFrame = pl.DataFrame(schema=SERIES_STATES)
    tombstones: pl.DataFrame = pl.DataFrame(schema=TOMBSTONES)
    current: pl.DataFrame = pl.DataFrame(schema=CURRENT)
    submitted: pl.DataFrame = pl.DataFrame(schema=SUBMITTED)
    sealed: pl.DataFrame = pl.DataFrame(schema=SEALED)
    earlier: pl.DataFrame = pl.DataFrame(schema=EARLIER)
    applied: pl.Series = SEQS
    announced: pl.DataFrame = pl.DataFrame(schema=CHANGED)
    retried_from: int = 0
