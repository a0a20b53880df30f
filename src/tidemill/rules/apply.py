"""A batch -> records that passed, with their instants, and rejections with every reason. Pure: the same batch and feed
give the same answer at any time (age is measured against the time of receipt)."""

from typing import Any, Final

import msgspec
import polars as pl

from tidemill.decode.batch import Batch
from tidemill.feeds.checks import compile_rule, reason_of
from tidemill.feeds.definition import Feed
from tidemill.rules.checks import broken, explain
from tidemill.rules.reasons import REASONS
from tidemill.rules.summary import SUMMARY, add_summary
from tidemill.rules.time import instants, resolve_times

REJECTIONS: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "time": pl.Int64,
    "reasons": pl.List(pl.String),
    "detail": pl.String,
}


class Checked(msgspec.Struct, frozen=True):
    """`frame`: the batch's frame with `time` i64 (ns UTC) and `flags` u8, only records that passed. `rejections`:
    `seq`, `idx`, `time` (null where none could be read), `reasons` in the feed's order, `detail`; those of decoding
    are among them."""

    frame: pl.DataFrame
    rejections: pl.DataFrame


def apply_rules(feed: Feed, batch: Batch) -> Checked:
    """Find each record's instant and ask every rule about every record."""
    frame = resolve_times(feed, batch.frame)
    if feed.shape.kind == "summary":
        frame = add_summary(frame, next(iter(feed.fields)))
    reasons, details, tests = _tests(feed)
    marks = [f"broken.{number}" for number in range(len(tests))]
    marked = _with_tags(feed, frame, batch).with_columns(
        test.fill_null(False).alias(mark) for test, mark in zip(tests, marks, strict=True)
    )
    failed = pl.col("time_reason").is_not_null() | pl.any_horizontal(pl.lit(False), *marks)
    refused = marked.filter(failed)
    passed = frame if refused.is_empty() else frame.filter(marked.select(~failed).to_series())
    rows = []
    for row in refused.select("seq", "idx", "time", "time_reason", *marks).iter_rows():
        seq, index, time, time_reason, *hits = row
        broke = [number for number, hit in enumerate(hits) if hit]
        codes = [*([time_reason] if time_reason else []), *(reasons[number] for number in broke)]
        said = [*([REASONS[time_reason]] if time_reason else []), *(details[number] for number in broke)]
        rows.append((seq, index, time, list(dict.fromkeys(codes)), "; ".join(said)))
    times = instants(feed, batch.stamps)
    early = batch.rejections.join(times, on=["seq", "idx"], how="left", maintain_order="left").select(list(REJECTIONS))
    late = pl.DataFrame(rows, schema=REJECTIONS, orient="row")
    return Checked(passed.drop("time_reason"), pl.concat([early, late]))


def _tests(feed: Feed) -> tuple[list[str], list[str], list[pl.Expr]]:
    """Reason, sentence and expression of each rule; a summary that overflows breaks one of its own."""
    checks = [compile_rule(rule) for rule in feed.rules]
    reasons = [reason_of(rule) for rule in feed.rules]
    details = [f"{reason}: {explain(check)}" for reason, check in zip(reasons, checks, strict=True)]
    tests = [broken(check) for check in checks]
    if feed.shape.kind == "summary":
        reasons.append("not_finite")
        details.append("not_finite: its mean or standard deviation is beyond the range of a double")
        tests.append(pl.any_horizontal([pl.col(f"f.{name}").is_infinite() for name in SUMMARY]))
    return reasons, details, tests


def _with_tags(feed: Feed, frame: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """The frame with `t.<tag>` for the tags that rules look at."""
    wanted = {rule.options["tag"] for rule in feed.rules if rule.check == "one_of"}
    for tag in sorted(wanted):
        value = [
            next((pair["value"] for pair in tags if pair["key"] == tag), None) for tags in batch.identities["tags"]
        ]
        column = pl.Series(f"t.{tag}", value, dtype=pl.String).gather(frame["identity"])
        frame = frame.with_columns(column)
    return frame
