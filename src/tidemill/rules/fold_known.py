"""Chooses between the two instants of a local time in a fold by what is known of the records since they were applied:
where their payload begins and ends, and where their own points are. For payloads that are decoded once more, when the
points beside which the mill decided may be deleted or past retention.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.batch import Batch
from tidemill.feeds.definition import Feed
from tidemill.model.ids import series_id
from tidemill.rules.fold_history import UnclearFolds, anchor_field
from tidemill.rules.fold_order import FIRST, SECOND, UNCLEAR

RECORD_TIMES: Final[dict[str, Any]] = {"seq": pl.UInt64, "idx": pl.UInt32, "time": pl.Int64}
ReadTimes = Callable[[Sequence[int], Sequence[int], Sequence[int]], pl.DataFrame]


class KnownTimes(msgspec.Struct, frozen=True):
    """`spans`: the first and the last instant (ns) of payloads, by offset, as their rows note them; `read_times`: of
    series, times (ns) and offsets the records (RECORD_TIMES) that have or had a point of such a series, time and
    offset. `within`: of a record of which nothing is known the instant in this range (ns, both included), if one is;
    null: it stays unclear."""

    tenant: str
    spans: Mapping[int, tuple[int, int]]
    read_times: ReadTimes
    within: tuple[int, int] | None = None


def choose_as_known(
    feed: Feed, frame: pl.DataFrame, folds: UnclearFolds, batch: Batch, known: KnownTimes
) -> NDArray[np.uint8]:
    """FIRST, SECOND or UNCLEAR for each of `folds.rows` of a frame. Raises what `known.read_times` raises."""
    seqs = frame["seq"].to_numpy()[folds.rows].tolist()
    spans = [known.spans.get(seq) for seq in seqs]
    chosen = _choose_within(folds, spans)
    chosen = np.where(chosen == UNCLEAR, _choose_by_points(feed, frame, folds, batch, known), chosen)
    if known.within is not None:
        by_range = _choose_within(folds, [known.within] * len(seqs), either=FIRST)
        chosen = np.where(chosen == UNCLEAR, by_range, chosen)
    return chosen.astype(np.uint8)


def _choose_within(
    folds: UnclearFolds, spans: Sequence[tuple[int, int] | None], either: int = UNCLEAR
) -> NDArray[np.uint8]:
    """The run whose instant is within the span, `either` where both are; UNCLEAR without a span."""
    chosen = np.zeros(len(spans), np.uint8)
    pairs = zip(folds.earlier.tolist(), folds.later.tolist(), strict=True)
    for number, (span, (earlier, later)) in enumerate(zip(spans, pairs, strict=True)):
        if span is not None:
            first, second = (span[0] <= time <= span[1] for time in (earlier, later))
            chosen[number] = either if first and second else FIRST if first else SECOND if second else UNCLEAR
    return chosen


def _choose_by_points(
    feed: Feed, frame: pl.DataFrame, folds: UnclearFolds, batch: Batch, known: KnownTimes
) -> NDArray[np.uint8]:
    """The run in which a record's own point is."""
    chosen = np.zeros(len(folds.rows), np.uint8)
    anchor = anchor_field(feed)
    if anchor is None or not len(folds.rows):
        return chosen
    records = frame.select("seq", "idx", "identity")[folds.rows]
    tags = batch.identities["tags"]
    series = [
        series_id(known.tenant, feed.name, {pair["key"]: pair["value"] for pair in tags[identity]}, anchor)
        for identity in records["identity"].unique().sort()
    ]
    times = np.unique(np.concatenate([folds.earlier, folds.later])).tolist()
    points = set(known.read_times(series, times, records["seq"].unique().sort().to_list()).iter_rows())
    pairs = zip(folds.earlier.tolist(), folds.later.tolist(), strict=True)
    for number, ((seq, idx), (earlier, later)) in enumerate(
        zip(records.select("seq", "idx").iter_rows(), pairs, strict=True)
    ):
        if (seq, idx, earlier) in points:
            chosen[number] = FIRST
        elif (seq, idx, later) in points:
            chosen[number] = SECOND
    return chosen
