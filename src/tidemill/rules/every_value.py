"""Every value of a batch's well-formed records, nulls included, whatever the rules say of them: what the bytes of a
payload still tell when its points are past retention, or never were."""

import msgspec
import polars as pl

from tidemill.decode.batch import Batch
from tidemill.decode.registers import REGISTERS
from tidemill.feeds.definition import Feed
from tidemill.rules.apply import apply_rules
from tidemill.rules.fold_known import KnownTimes
from tidemill.rules.shape import Shaped, shape_points


def every_value(
    feed: Feed, batch: Batch, known: KnownTimes, first_ns: int | None = None, last_ns: int | None = None
) -> Shaped:
    """The values of the records from `first_ns` to `last_ns` (both included; None: without bound) as the shape makes
    points of them; the value is null where a field or a register is null or absent. `rejections` are those of records
    that broke the contract or have no instant; `known` decides a local time in a fold."""
    checked = apply_rules(msgspec.structs.replace(feed, rules=()), batch, known=known)
    if first_ns is not None and last_ns is not None:
        within = pl.col("time").is_between(first_ns, last_ns)
        checked = msgspec.structs.replace(checked, frame=checked.frame.filter(within))
    if batch.registers is not None and batch.null_registers is not None:
        nulls = batch.null_registers.with_columns(value=pl.lit(None, pl.Float64)).select(list(REGISTERS))
        batch = msgspec.structs.replace(batch, registers=pl.concat([batch.registers, nulls]))
    return shape_points(feed, known.tenant, checked, batch, with_nulls=True)
