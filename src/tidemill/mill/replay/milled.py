"""Puts a replay's payloads through decode and rules, a portion at a time, and writes the resulting frames to disk.

Writes nothing to the store. A portion is some 8 MB of payloads: a fraction of a second between live batches.
"""

from itertools import groupby
from typing import Any, Final

import polars as pl

from tidemill.errors import TidemillError
from tidemill.mill import ledger
from tidemill.mill.replay.folder import Folder
from tidemill.mill.replay.replay_history import ReplayPast
from tidemill.mill.stages import NO_PAST, TransformedBatch, TransformPipeline
from tidemill.mill.stored import stored_entry
from tidemill.model.payload import LogEntry
from tidemill.rules.payload_marks import MARKS
from tidemill.rules.payload_times import TIMES
from tidemill.rules.shape import POINTS, SERIES
from tidemill.store.client import Store

PORTION_BYTES: Final = 8 << 20
PORTION_PAYLOADS: Final = 20_000
SELECTION: Final = "selection"
COUNTS: Final[dict[str, Any]] = {"seq": pl.UInt64, "records": pl.UInt32, **TIMES, **MARKS}


class UnfitError(TidemillError):
    """A payload that cannot be replayed because of the software itself; `receipt` names it."""

    code = "internal"

    def __init__(self, receipt: str, cause: BaseException) -> None:
        super().__init__(f"payload {receipt} cannot be applied: {type(cause).__name__}: {cause}")
        self.receipt = receipt


def is_milled(folder: Folder, number: int) -> bool:
    """Whether a portion went through the rules."""
    return folder.has(f"counts-{number:05d}")


def read_all_portions(folder: Folder, name: str) -> pl.DataFrame:
    """The frames of one name of all portions."""
    return pl.concat(folder.read_frames(f"{name}-"), how="diagonal_relaxed")


def cut_into_portions(selection: pl.DataFrame, first: int = 0) -> pl.DataFrame:
    """The selection with `portion`, numbered from `first`: each of at most PORTION_BYTES (or of one payload) and
    PORTION_PAYLOADS."""
    portions, size, held = [], 0, 0
    for length in selection["bytes"].to_list():
        if held and (size + length > PORTION_BYTES or held >= PORTION_PAYLOADS):
            first, size, held = first + 1, 0, 0
        size, held = size + length, held + 1
        portions.append(first)
    return selection.with_columns(pl.Series("portion", portions, dtype=pl.UInt32))


def mill_portion(
    store: Store,
    pipeline: TransformPipeline,
    folder: Folder,
    rows: pl.DataFrame,
    *,
    tenant: str,
    feed: str,
    number: int,
    past: ReplayPast | None,
) -> None:
    """Put one portion (rows of the selection) through the rules; afterwards the folder has its frames `points-NNNNN`,
    `series-`, `rejected-` (REJECTED and `record`), `origins-` and `counts-` (written last).

    Raises UnfitError for a payload that the software cannot apply, StoreUnavailableError, StoreQueryError.
    """
    versions = dict(zip(rows["seq"], rows["feed_version"], strict=True))
    states = dict(zip(rows["seq"], rows["state"], strict=True))
    stored = store.frame("mill_payloads", tenant=tenant, seqs=rows["seq"])
    entries = [stored_entry(tenant, feed, row, versions[row["seq"]]) for row in stored.iter_rows(named=True)]
    entries = [each for each in entries if states[each.seq] != "refused" or not pipeline.refuses(each)]
    numbers = dict(zip(rows["seq"], rows["run"], strict=True))
    milled = []
    for _, run in groupby(entries, key=lambda entry: (entry.payload.feed_version, numbers[entry.seq])):
        transformed = _run(pipeline, tenant, feed, list(run), past)
        if past is not None:
            past.add(transformed.points, transformed.rejections)
        milled.append(transformed)
    by_seq = {entry.seq: entry for entry in entries}
    rejected = ledger.concat_rejections([part.rejections for part in milled])
    texts = pipeline.texts(by_seq, rejected)
    frames = {
        "points": _joined([part.points for part in milled], POINTS),
        "series": _joined([part.series for part in milled], SERIES),
        "rejected": rejected.with_columns(pl.Series("record", texts, dtype=pl.String)),
        "origins": ledger.payload_origins(entries),
        "counts": _joined([part.counts for part in milled], COUNTS),
    }
    for name, frame in frames.items():
        folder.write_frame(f"{name}-{number:05d}", frame)


def _run(
    pipeline: TransformPipeline, tenant: str, feed: str, run: list[LogEntry], past: ReplayPast | None
) -> TransformedBatch:
    version = run[0].payload.feed_version
    try:
        return pipeline.transform(tenant, feed, version, run, past or NO_PAST)
    except TidemillError:
        raise
    except Exception as error:
        if len(run) == 1:
            raise UnfitError(run[0].payload.receipt, error) from error
        for entry in run:  # raises for the entry that is the cause
            _run(pipeline, tenant, feed, [entry], past)
        raise


def _joined(frames: list[pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=schema), *(frame.select(list(schema)) for frame in frames)])
