"""The rejections of a payload that was refused at intake: one for each record that it held, so that accepted + rejected
are its records. Pure. The faulty ones carry their own reasons, the others `payload_refused`.
"""

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from tidemill.decode.batch import Batch
from tidemill.decode.fault_collector import sentence
from tidemill.errors import Fault
from tidemill.mill.ledger import concat_rejections
from tidemill.model.payload import LogEntry
from tidemill.rules.reasons import STATE_REASONS

_INDEX = re.compile(r"\[(\d+)\]")
_INNOCENT = "payload_refused"
_SUMMARY = "more_faults"  # says how many faults are not named; about no record

Named = dict[int, list[Fault]]


def by_record(faults: Sequence[Fault], records: str) -> Named | None:
    """The faults by the index of their record, where each names one; else null: the payload is one record, or cannot be
    read as records. `records` is the path where the feed has them."""
    named: Named = {}
    for fault in faults:
        match = _INDEX.match(fault.path.removeprefix(records))
        if match is not None:
            named.setdefault(int(match.group(1)), []).append(fault)
        elif fault.code != _SUMMARY:
            return None
    return named or None


def whole(entry: LogEntry) -> pl.DataFrame:
    """REJECTED of a payload that counts as one record, with all its faults."""
    faults = entry.payload.faults
    known = [fault for fault in faults if fault.code != _SUMMARY] or [Fault("$", "refused", "refused at intake")]
    return _frame(entry.seq, {0: _told(known)})


def each(entry: LogEntry, named: Named, batch: Batch) -> pl.DataFrame:
    """REJECTED of every record of a payload. `batch` is the payload decoded again: it counts the records, and knows the
    faults of those beyond the hundred that intake names."""
    count = max(int(batch.counts["records"].sum()), max(named) + 1)
    by_intake = _frame(entry.seq, {index: _told(faults) for index, faults in named.items()})
    read = batch.rejections.join(by_intake, on="idx", how="anti")
    faulty = concat_rejections([by_intake, read])
    every = pl.DataFrame({"idx": pl.int_range(count, dtype=pl.UInt32, eager=True)})
    innocent = every.join(faulty, on="idx", how="anti").select(
        pl.lit(entry.seq, pl.UInt64).alias("seq"),
        "idx",
        pl.lit([_INNOCENT]).alias("reasons"),
        pl.lit(STATE_REASONS[_INNOCENT]).alias("detail"),
    )
    return concat_rejections([faulty, innocent])


def timed(rejections: pl.DataFrame, times: pl.DataFrame) -> pl.DataFrame:
    """REJECTED with the times (`seq`, `idx`, `time`) of the records that have one."""
    return concat_rejections([rejections.drop("time").join(times, on=["seq", "idx"], how="left")])


def _told(faults: Sequence[Fault]) -> tuple[list[str], str]:
    """Reasons and detail of a record."""
    reasons = list(dict.fromkeys(fault.code for fault in faults))
    return reasons, sentence(faults, len(faults))


def _frame(seq: int, told: dict[int, tuple[list[str], str]]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "seq": pl.repeat(seq, len(told), dtype=pl.UInt64, eager=True),
        "idx": pl.Series(list(told), dtype=pl.UInt32),
        "reasons": [reasons for reasons, _ in told.values()],
        "detail": [detail for _, detail in told.values()],
    }
    return concat_rejections([pl.DataFrame(columns)])
