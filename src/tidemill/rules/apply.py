"""Applies a feed's rules to a batch: which records pass, with instants and marks, and why the others are rejected.

Pure: the same batch, feed and past always give the same result, as age is measured against the time of receipt."""

from collections.abc import Set
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.checks.sentinels import REGISTERS
from tidemill.decode.batch import Batch
from tidemill.feeds.definition import Feed
from tidemill.rules import history
from tidemill.rules.fold_known import KnownTimes
from tidemill.rules.history_lookup import NO_HISTORY, HistoryLookup
from tidemill.rules.payload_times import payload_times
from tidemill.rules.rule_tests import RuleTests, feed_tests, hit_column
from tidemill.rules.summary import add_summary
from tidemill.rules.time import resolve_beside_points, resolve_stamps

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
    """`frame`: the batch's frame with `time` i64 (ns UTC), `flags` u8 and `marks` list[str] (the marks of
    decoding, then the codes of the rules that flagged the record; null where there is none), only records that passed.
    `rejections`: `seq`, `idx`, `identity` (null where the record broke the contract), `time` (null where none could be
    read), `reasons` in the feed's order, `detail`; those of decoding are among them. `times`: `payload_times.TIMES` of
    the payloads."""

    frame: pl.DataFrame
    rejections: pl.DataFrame
    times: pl.DataFrame


class JudgedBatch(msgspec.Struct, frozen=True):
    """`frame`: the batch's frame with `time` (null: no instant), `flags` and `time_reason`; `judged`: the same with
    `broken.<number>` of each of `tests`; `times`: `payload_times.TIMES` of the payloads."""

    frame: pl.DataFrame
    judged: pl.DataFrame
    tests: RuleTests
    times: pl.DataFrame


def apply_rules(
    feed: Feed, batch: Batch, lookup: HistoryLookup = NO_HISTORY, known: KnownTimes | None = None
) -> CheckedBatch:
    """Resolve each record's instant and evaluate every rule for every record.

    The past is read through `lookup` only where the feed has a rule that needs it, or a record a fold that only points
    around it decide; then the batch must begin at the offset `lookup.before_seq`, and what `lookup.past` raises
    (StoreUnavailableError, StoreQueryError) is raised. `known`: of payloads that were applied before; such
    folds are decided by it instead."""
    judged_batch = judge_records(feed, batch, lookup, known)
    frame, judged, rule_tests = judged_batch.frame, judged_batch.judged, judged_batch.tests
    rejections = []
    if not batch.rejections.is_empty():
        times = resolve_stamps(feed, batch.stamps)
        early = batch.rejections.join(times, on=["seq", "idx"], how="left", maintain_order="left")
        rejections.append(early.with_columns(identity=pl.lit(None, pl.UInt32)).select(list(REJECTIONS)))
    passed = judged
    failed = _failed(judged, rule_tests)
    if failed is not None:
        passed = judged.filter(~failed)
        rejections.append(_rejections(judged.filter(failed), rule_tests))
    kept = passed[[name for name in frame.columns if name != "time_reason"]]
    unmarked = rule_tests.marks is None
    marks = _UNMARKED.new_from_index(0, len(kept)) if unmarked else passed.select(rule_tests.marks).to_series()
    if batch.marks is not None:
        marks = _with_decoded_marks(passed.select("seq", "idx"), marks, batch.marks)
    rejected = pl.concat([_NONE_REJECTED, *rejections]) if rejections else _NONE_REJECTED
    return CheckedBatch(kept.hstack([marks]), rejected, judged_batch.times)


def judge_records(
    feed: Feed, batch: Batch, lookup: HistoryLookup = NO_HISTORY, known: KnownTimes | None = None
) -> JudgedBatch:
    """Every well-formed record with its instant and the result of each test, before any record is rejected. Reads and
    raises as `apply_rules`."""
    frame = resolve_beside_points(feed, batch, lookup, known)
    times_of_payloads = payload_times(feed, frame, batch)
    if feed.shape.kind == "summary":
        frame = add_summary(frame, next(iter(feed.fields)))
    rule_tests = feed_tests(feed)
    judged = add_history_hits(feed, add_hits(feed, frame, batch, rule_tests), batch, rule_tests, lookup)
    return JudgedBatch(frame, judged, rule_tests, times_of_payloads)


def add_hits(feed: Feed, frame: pl.DataFrame, batch: Batch, rule_tests: RuleTests) -> pl.DataFrame:
    """The frame with `broken.<number>` (true or false) of each test that needs no past, and the columns that the tests
    look at.

    A test that looks at tags only is evaluated once for each distinct set of tags, not for each record. A batch of a
    million records has a few thousand sets.
    """
    if not rule_tests.all:
        return frame
    tags = [tag for tag in feed.tags if f"t.{tag}" in rule_tests.columns]
    if rule_tests.by_tags or tags:
        by_identity = tag_texts(feed, batch).select(*rule_tests.by_tags, *(f"t.{tag}" for tag in tags))
        frame = frame.hstack(by_identity[frame["identity"]])
    frame = _with_registers(frame, batch, rule_tests.columns)
    return frame.with_columns(rule_tests.by_record) if rule_tests.by_record else frame


def add_history_hits(
    feed: Feed, judged: pl.DataFrame, batch: Batch, rule_tests: RuleTests, lookup: HistoryLookup
) -> pl.DataFrame:
    """The frame of `add_hits` with `broken.<number>` of the tests that need the past."""
    if not rule_tests.past:
        return judged
    refused = judged.select(rule_tests.refused.alias("refused"))
    hits_by_test = history.evaluate_history(feed, list(rule_tests.past.values()), judged.hstack(refused), batch, lookup)
    hits = zip(rule_tests.past, hits_by_test, strict=True)
    return judged.hstack([pl.Series(hit_column(number), broken) for number, broken in hits])


def _failed(judged: pl.DataFrame, rule_tests: RuleTests) -> pl.Series | None:
    """Boolean per record: whether it is rejected; None where no record is."""
    if rule_tests.failed is None:
        reasons = judged["time_reason"]
        return reasons.is_not_null() if reasons.null_count() < len(reasons) else None
    failed = judged.select(rule_tests.failed).to_series()
    return failed if failed.any() else None


def tag_texts(feed: Feed, batch: Batch) -> pl.DataFrame:
    """`t.<tag>` (text or null) of each identity of a batch, a row for each identity, in their order."""
    sets = [{pair["key"]: pair["value"] for pair in tags} for tags in batch.identities["tags"].to_list()]
    return pl.DataFrame([pl.Series(f"t.{tag}", [tags.get(tag) for tags in sets], dtype=pl.String) for tag in feed.tags])


def _with_registers(frame: pl.DataFrame, batch: Batch, wanted: Set[str]) -> pl.DataFrame:
    """The frame with `f.<register>` for each register that a test looks at, null where a record has none; and with the
    list of all registers, where a test looks at it."""
    if batch.registers is None:
        return frame
    if REGISTERS in wanted:
        lists = batch.registers.group_by("seq", "idx").agg(pl.col("value").alias(REGISTERS))
        frame = frame.join(lists, on=["seq", "idx"], how="left", maintain_order="left")
    for name in sorted(name for name in wanted - set(frame.columns) if name.startswith("f.")):
        values_of = batch.registers.filter(pl.col("field") == name.removeprefix("f.")).select(
            "seq", "idx", pl.col("value").alias(name)
        )
        frame = frame.join(values_of, on=["seq", "idx"], how="left", maintain_order="left")
    return frame


def _with_decoded_marks(records: pl.DataFrame, marks: pl.Series, decoded: pl.DataFrame) -> pl.Series:
    """The marks of records with those that decoding gave them first; null where a record has none."""
    by_record = decoded.group_by("seq", "idx", maintain_order=True).agg(pl.col("mark").alias("decoded"))
    both = records.hstack([marks]).join(by_record, on=["seq", "idx"], how="left", maintain_order="left")
    none = pl.lit([], dtype=pl.List(pl.String))
    every = pl.concat_list(pl.col("decoded").fill_null(none), pl.col("marks").fill_null(none))
    unique = every.list.unique(maintain_order=True)
    return both.select(pl.when(unique.list.len() > 0).then(unique).alias("marks")).to_series()


def _rejections(refused: pl.DataFrame, rule_tests: RuleTests) -> pl.DataFrame:
    """REJECTIONS of the records that failed, a column at a time: there may be a million of them."""
    return refused.select("seq", "idx", "identity", "time", rule_tests.codes, rule_tests.detail)
