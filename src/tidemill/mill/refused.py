"""Makes the rejections of a payload that was refused at intake: one for each of its records, so that accepted +
rejected is the number of its records. Pure. Faulty records carry their own reasons, the others `payload_refused`.
"""

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from tidemill.decode.batch import Batch
from tidemill.decode.fault_collector import faults_detail
from tidemill.errors import Fault
from tidemill.feeds.definition import Input
from tidemill.mill.ledger import concat_rejections
from tidemill.model.payload import LogEntry
from tidemill.rules.reasons import STATE_REASONS

_INDEX = re.compile(r"\[(\d+)\]")  # behind the path of the records: `[17].snow`
_ITEM = re.compile(r"[^\[]*\[(\d+)\]")  # behind the path of columns: `.snow[17]`
_INNOCENT = "payload_refused"
_SUMMARY = "more_faults"  # counts the faults that are not listed; it names no record

Named = dict[int, list[Fault]]


def group_faults_by_record(faults: Sequence[Fault], source: Input) -> Named | None:
    """The faults by the index of their record; null where a fault names no record, because the payload is one record or
    cannot be read as records. `source` says where the feed's records are."""
    named: Named = {}
    pattern = _INDEX if source.columns is None else _ITEM
    for fault in faults:
        match = pattern.match(fault.path.removeprefix(source.root))
        if match is not None:
            named.setdefault(int(match.group(1)), []).append(fault)
        elif fault.code != _SUMMARY:
            return None
    return named or None


def reject_whole_payload(entry: LogEntry) -> pl.DataFrame:
    """REJECTED of a payload that counts as one record, with all its faults."""
    faults = entry.payload.faults
    known = [fault for fault in faults if fault.code != _SUMMARY] or [Fault("$", "refused", "refused at intake")]
    return _frame(entry.seq, {0: _reasons_and_detail(known)})


def reject_each_record(entry: LogEntry, named: Named, batch: Batch) -> pl.DataFrame:
    """REJECTED of every record of a payload. `batch` is the payload decoded again: it has the records, and the
    faults of the records beyond the hundred that intake lists."""
    known = pl.concat([batch.frame["idx"], batch.rejections["idx"], pl.Series("idx", list(named), dtype=pl.UInt32)])
    by_intake = _frame(entry.seq, {index: _reasons_and_detail(faults) for index, faults in named.items()})
    decoded = batch.rejections.join(by_intake, on="idx", how="anti")
    faulty = concat_rejections([by_intake, decoded])
    indices = pl.DataFrame({"idx": known.unique().sort()})
    innocent = indices.join(faulty, on="idx", how="anti").select(
        pl.lit(entry.seq, pl.UInt64).alias("seq"),
        "idx",
        pl.lit([_INNOCENT]).alias("reasons"),
        pl.lit(STATE_REASONS[_INNOCENT]).alias("detail"),
    )
    return concat_rejections([faulty, innocent])


def with_times(rejections: pl.DataFrame, times: pl.DataFrame) -> pl.DataFrame:
    """REJECTED with the times (`seq`, `idx`, `time`) of those records that have a time."""
    return concat_rejections([rejections.drop("time").join(times, on=["seq", "idx"], how="left")])


def _reasons_and_detail(faults: Sequence[Fault]) -> tuple[list[str], str]:
    """Reasons and detail of a record."""
    reasons = list(dict.fromkeys(fault.code for fault in faults))
    return reasons, faults_detail(faults, len(faults))


def _frame(seq: int, rejections: dict[int, tuple[list[str], str]]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "seq": pl.repeat(seq, len(rejections), dtype=pl.UInt64, eager=True),
        "idx": pl.Series(list(rejections), dtype=pl.UInt32),
        "reasons": [reasons for reasons, _ in rejections.values()],
        "detail": [detail for _, detail in rejections.values()],
    }
    return concat_rejections([pl.DataFrame(columns)])
