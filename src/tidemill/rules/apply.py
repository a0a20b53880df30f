"""A batch -> records that passed, with their instants and marks, and rejections with every reason. Pure: the same
batch, feed and past give the same answer at any time (age is measured against the time of receipt)."""

from collections.abc import Set
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.decode.batch import Batch
from tidemill.feeds.definition import Feed
from tidemill.rules import history
from tidemill.rules.history_lookup import NO_HISTORY, HistoryLookup
from tidemill.rules.rule_tests import RuleTests, feed_tests, hit_column
from tidemill.rules.summary import add_summary
from tidemill.rules.time import resolve_stamps, resolve_times

REJECTIONS: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "identity": pl.UInt32,
    "time": pl.Int64,
    "reasons": pl.List(pl.String),
    "detail": pl.String,
}
_NONE_REJECTED: Final = pl.DataFrame(schema=REJECTIONS)
_UNMARKED: Final = pl.Series("marks", [None], dtype=pl.List(pl.String))


class CheckedBatch(msgspec.Struct, frozen=True):
    """`frame`: the batch's frame with `time` i64 (ns UTC), `flags` u8 and `marks` list[str] (the codes of the rules
    that flagged the record; null where the feed flags nothing), only records that passed. `rejections`: `seq`, `idx`,
    `identity` (null where the record broke the contract), `time` (null where none could be read), `reasons` in the
    feed's order, `detail`; those of decoding are among them."""

    frame: pl.DataFrame
    rejections: pl.DataFrame


def apply_rules(feed: Feed, batch: Batch, memory: HistoryLookup = NO_HISTORY) -> CheckedBatch:
    """Find each record's instant and ask every rule about every record. `memory` is asked only where the feed has a
    rule that needs the past; then the batch must begin at its place in the log, and raises what the past raises."""
    frame = resolve_times(feed, batch.frame)
    if feed.shape.kind == "summary":
        frame = add_summary(frame, next(iter(feed.fields)))
    asked = feed_tests(feed)
    judged = add_history_hits(feed, add_hits(feed, frame, batch, asked), batch, asked, memory)
    rejections = []
    if not batch.rejections.is_empty():
        times = resolve_stamps(feed, batch.stamps)
        early = batch.rejections.join(times, on=["seq", "idx"], how="left", maintain_order="left")
        rejections.append(early.with_columns(identity=pl.lit(None, pl.UInt32)).select(list(REJECTIONS)))
    passed = judged
    failed = _failed(judged, asked)
    if failed is not None:
        passed = judged.filter(~failed)
        rejections.append(_rejections(judged.filter(failed), asked))
    kept = passed[[name for name in frame.columns if name != "time_reason"]]
    marks = (
        passed.select(asked.marks).to_series() if asked.marks is not None else _UNMARKED.new_from_index(0, len(kept))
    )
    return CheckedBatch(
        kept.hstack([marks]), pl.concat([_NONE_REJECTED, *rejections]) if rejections else _NONE_REJECTED
    )


def add_hits(feed: Feed, frame: pl.DataFrame, batch: Batch, asked: RuleTests) -> pl.DataFrame:
    """The frame with `broken.<number>` of each test that needs no past, true or false, and whatever columns the tests
    look at.

    A test that looks at nothing but tags is asked once for each distinct set of tags, not once a record: what a record
    did depends on no other record, so its answer is its set's. A batch of a million records has a few thousand sets.
    """
    if not asked.all:
        return frame
    laid_out = [tag for tag in feed.tags if f"t.{tag}" in asked.wanted]
    if asked.of_sets or laid_out:
        texts = tag_texts(feed, batch)
        by_set = texts.select(*asked.of_sets, *(f"t.{tag}" for tag in laid_out))
        frame = frame.hstack(by_set[frame["identity"]])
    looked_at = _with_registers(frame, batch, asked.wanted)
    return looked_at.with_columns(asked.of_records) if asked.of_records else looked_at


def add_history_hits(
    feed: Feed, judged: pl.DataFrame, batch: Batch, asked: RuleTests, memory: HistoryLookup
) -> pl.DataFrame:
    """The judged frame with `broken.<number>` of the tests that need the past."""
    if not asked.past:
        return judged
    refused = judged.select(asked.refused.alias("refused"))
    found = history.evaluate_history(feed, list(asked.past.values()), judged.hstack(refused), batch, memory)
    return judged.hstack([pl.Series(hit_column(number), hits) for number, hits in zip(asked.past, found, strict=True)])


def _failed(judged: pl.DataFrame, asked: RuleTests) -> pl.Series | None:
    """Which records are rejected; None where none is."""
    if asked.failed is None:
        reasons = judged["time_reason"]
        return reasons.is_not_null() if reasons.null_count() < len(reasons) else None
    failed = judged.select(asked.failed).to_series()
    return failed if failed.any() else None


def tag_texts(feed: Feed, batch: Batch) -> pl.DataFrame:
    """`t.<tag>` of each identity of a batch, in their order."""
    tags = [{pair["key"]: pair["value"] for pair in tags} for tags in batch.identities["tags"].to_list()]
    return pl.DataFrame([pl.Series(f"t.{tag}", [of.get(tag) for of in tags], dtype=pl.String) for tag in feed.tags])


def _with_registers(frame: pl.DataFrame, batch: Batch, wanted: Set[str]) -> pl.DataFrame:
    """The frame with `f.<register>` of those that tests look at; null where a record has none of that name."""
    if batch.registers is None:
        return frame
    for name in sorted(name for name in wanted - set(frame.columns) if name.startswith("f.")):
        values_of = batch.registers.filter(pl.col("field") == name.removeprefix("f.")).select(
            "seq", "idx", pl.col("value").alias(name)
        )
        frame = frame.join(values_of, on=["seq", "idx"], how="left", maintain_order="left")
    return frame


def _rejections(refused: pl.DataFrame, asked: RuleTests) -> pl.DataFrame:
    """REJECTIONS of records that broke something, a column at a time: there may be a million of them."""
    return refused.select("seq", "idx", "identity", "time", asked.codes, asked.detail)
