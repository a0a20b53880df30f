"""A batch -> records that passed, with their instants and marks, and rejections with every reason. Pure: the same
batch, feed and past give the same answer at any time (age is measured against the time of receipt)."""

from typing import Any, Final

import msgspec
import polars as pl

from tidemill.checks.past import PastCheck
from tidemill.decode.batch import Batch
from tidemill.feeds.definition import SUMMARY, Feed
from tidemill.rules import history
from tidemill.rules.past import NO_MEMORY, Memory
from tidemill.rules.reasons import REASONS
from tidemill.rules.summary import add_summary
from tidemill.rules.time import instants, resolve_times

REJECTIONS: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "identity": pl.UInt32,
    "time": pl.Int64,
    "reasons": pl.List(pl.String),
    "detail": pl.String,
}


class Checked(msgspec.Struct, frozen=True):
    """`frame`: the batch's frame with `time` i64 (ns UTC), `flags` u8 and `marks` list[str] (the codes of the rules
    that flagged the record; null where the feed flags nothing), only records that passed. `rejections`: `seq`, `idx`,
    `identity` (null where the record broke the contract), `time` (null where none could be read), `reasons` in the
    feed's order, `detail`; those of decoding are among them."""

    frame: pl.DataFrame
    rejections: pl.DataFrame


class Test(msgspec.Struct, frozen=True):
    """One question to every record: the code and the sentence of who breaks it, what is asked (an expression, or a
    check that needs the past), and what follows."""

    code: str
    detail: str
    broken: pl.Expr | PastCheck
    flags: bool = False


def apply_rules(feed: Feed, batch: Batch, memory: Memory = NO_MEMORY) -> Checked:
    """Find each record's instant and ask every rule about every record. `memory` is asked only where the feed has a
    rule that needs the past; then the batch must begin at its place in the log, and raises what the past raises."""
    frame = resolve_times(feed, batch.frame)
    if feed.shape.kind == "summary":
        frame = add_summary(frame, next(iter(feed.fields)))
    asked = tests(feed)
    judged = remember(feed, judge(feed, frame, batch, asked), batch, asked, memory)
    failing = [_hit(number) for number, test in enumerate(asked) if not test.flags]
    failed = judged.select(pl.any_horizontal(pl.col("time_reason").is_not_null(), *failing)).to_series()
    rejections = [pl.DataFrame(schema=REJECTIONS)]
    if not batch.rejections.is_empty():
        times = instants(feed, batch.stamps)
        early = batch.rejections.join(times, on=["seq", "idx"], how="left", maintain_order="left")
        rejections.append(early.with_columns(identity=pl.lit(None, pl.UInt32)).select(list(REJECTIONS)))
    passed = judged
    if failed.any():
        passed = judged.filter(~failed)
        rejections.append(_rejections(judged.filter(failed), asked))
    kept = [name for name in frame.columns if name != "time_reason"]
    return Checked(passed.select(*kept, _marks(asked)), pl.concat(rejections))


def tests(feed: Feed) -> list[Test]:
    """The tests of a feed's rules, in their order; a summary that overflows breaks one of its own."""
    found = []
    for rule in feed.rules:
        check = rule.compiled()
        broken = check if isinstance(check, PastCheck) else check.broken()
        found.append(Test(rule.code, f"{rule.code}: {check.explain()}", broken, rule.action == "flag"))
    if feed.shape.kind == "summary":
        detail = "not_finite: its mean or standard deviation is beyond the range of a double"
        overflow = pl.any_horizontal([pl.col(f"f.{name}").is_infinite() for name in SUMMARY])
        found.append(Test("not_finite", detail, overflow))
    return found


def judge(feed: Feed, frame: pl.DataFrame, batch: Batch, asked: list[Test]) -> pl.DataFrame:
    """The frame with `broken.<number>` of each test that needs no past, true or false, and whatever columns the tests
    look at.

    A test that looks at nothing but tags is asked once for each distinct set of tags, not once a record: what a record
    did depends on no other record, so its answer is its set's. A batch of a million records has a few thousand sets.
    """
    if not asked:
        return frame
    texts = tag_texts(feed, batch)
    hits = [
        test.broken.fill_null(False).alias(_hit(number))
        for number, test in enumerate(asked)
        if isinstance(test.broken, pl.Expr)
    ]
    roots = [set(hit.meta.root_names()) for hit in hits]
    alone = [bool(names) and names <= set(texts.columns) for names in roots]
    wanted = set().union(*(names for names, of_tags in zip(roots, alone, strict=True) if not of_tags))
    wanted |= {f"f.{test.broken.field}" for test in asked if isinstance(test.broken, PastCheck)}
    of_sets = [hit for hit, of_tags in zip(hits, alone, strict=True) if of_tags]
    by_set = texts.select(*of_sets, *(name for name in texts.columns if name in wanted))
    spread = by_set.select(pl.all().gather(frame["identity"])) if by_set.width else by_set
    looked_at = _with_registers(frame.hstack(spread), batch, wanted)
    return looked_at.with_columns(hit for hit, of_tags in zip(hits, alone, strict=True) if not of_tags)


def remember(feed: Feed, judged: pl.DataFrame, batch: Batch, asked: list[Test], memory: Memory) -> pl.DataFrame:
    """The judged frame with `broken.<number>` of the tests that need the past."""
    past = {
        number: history.Asked(test.broken, not test.flags)
        for number, test in enumerate(asked)
        if isinstance(test.broken, PastCheck)
    }
    if not past:
        return judged
    failing = [_hit(number) for number, test in enumerate(asked) if number not in past and not test.flags]
    refused = judged.select(pl.any_horizontal(pl.col("time_reason").is_not_null(), *failing).alias("refused"))
    found = history.judge(feed, list(past.values()), judged.hstack(refused), batch, memory)
    return judged.hstack([pl.Series(_hit(number), hits) for number, hits in zip(past, found, strict=True)])


def tag_texts(feed: Feed, batch: Batch) -> pl.DataFrame:
    """`t.<tag>` of each identity of a batch, in their order."""
    tags = [{pair["key"]: pair["value"] for pair in tags} for tags in batch.identities["tags"].to_list()]
    return pl.DataFrame([pl.Series(f"t.{tag}", [of.get(tag) for of in tags], dtype=pl.String) for tag in feed.tags])


def _with_registers(frame: pl.DataFrame, batch: Batch, wanted: set[str]) -> pl.DataFrame:
    """The frame with `f.<register>` of those that tests look at; null where a record has none of that name."""
    if batch.registers is None:
        return frame
    for name in sorted(name for name in wanted - set(frame.columns) if name.startswith("f.")):
        values_of = batch.registers.filter(pl.col("field") == name.removeprefix("f.")).select(
            "seq", "idx", pl.col("value").alias(name)
        )
        frame = frame.join(values_of, on=["seq", "idx"], how="left", maintain_order="left")
    return frame


def _hit(number: int) -> str:
    return f"broken.{number}"


def _rejections(refused: pl.DataFrame, asked: list[Test]) -> pl.DataFrame:
    """REJECTIONS of records that broke something, a column at a time: there may be a million of them."""
    time_detail = pl.col("time_reason").replace_strict(dict(REASONS), default=None, return_dtype=pl.String)
    broke = [(pl.when(_hit(n)), test) for n, test in enumerate(asked) if not test.flags]
    codes = pl.concat_list("time_reason", *(hit.then(pl.lit(test.code)) for hit, test in broke))
    details = [time_detail, *(hit.then(pl.lit(test.detail)) for hit, test in broke)]
    return refused.select(
        "seq",
        "idx",
        "identity",
        "time",
        codes.list.drop_nulls().list.unique(maintain_order=True).alias("reasons"),
        pl.concat_str(details, separator="; ", ignore_nulls=True).alias("detail"),
    )


def _marks(asked: list[Test]) -> pl.Expr:
    """The codes of the rules that flagged a record; null where none did."""
    hits = [pl.when(_hit(n)).then(pl.lit(test.code)) for n, test in enumerate(asked) if test.flags]
    if not hits:
        return pl.lit(None, pl.List(pl.String)).alias("marks")
    codes = pl.concat_list(hits).list.drop_nulls().list.unique(maintain_order=True)
    return pl.when(codes.list.len() > 0).then(codes).alias("marks")
