"""What is asked about every record of a feed version, made ready once: a batch of one record must not pay for building
some dozens of expressions, and feeds never change."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import polars as pl

from tidemill.checks.look_back import PastCheck
from tidemill.feeds.definition import SUMMARY, Feed
from tidemill.rules.history import HistoryTest
from tidemill.rules.reasons import REASONS

_KEEP: Final = 1_000
_TIMELESS: Final = pl.col("time_reason").is_not_null()
_TIME_DETAIL: Final = pl.col("time_reason").replace_strict(dict(REASONS), default=None, return_dtype=pl.String)


class RuleTest(msgspec.Struct, frozen=True):
    """One question to every record: the code and the sentence of who breaks it, what is asked (an expression, or a
    check that needs the past), and what follows."""

    code: str
    detail: str
    broken: pl.Expr | PastCheck
    flags: bool = False


class RuleTests(msgspec.Struct, frozen=True):
    """The tests of a feed, and the expressions that follow from them; `broken.<number>` are the columns of hits.

    `of_sets` look at nothing but tags, `of_records` at other columns too; `wanted` are the columns that must be laid
    out for records. `past` has the tests that need the past by their number. `refused` is who is rejected without
    asking the past, `failed` who is rejected at all (None: nobody but records without an instant). `codes` and `detail`
    say why, and `marks` which tests flagged a record (None: none can)."""

    all: tuple[RuleTest, ...]
    of_sets: tuple[pl.Expr, ...]
    of_records: tuple[pl.Expr, ...]
    wanted: frozenset[str]
    past: Mapping[int, HistoryTest]
    refused: pl.Expr
    failed: pl.Expr | None
    codes: pl.Expr
    detail: pl.Expr
    marks: pl.Expr | None


def feed_tests(feed: Feed, *, refusing: bool = False) -> RuleTests:
    """The tests of a feed's rules, in their order, or only those that refuse; a summary that overflows breaks one of
    its own (the last, which refuses nothing)."""
    key = (id(feed), refusing)
    kept = _kept.get(key)
    if kept is None:
        if len(_kept) >= _KEEP:
            _kept.clear()
        # The feed is kept with them: else another feed could come to have its id.
        kept = _kept[key] = (feed, _compiled(feed, _refusing(feed) if refusing else _all(feed)))
    return kept[1]


_kept: Final[dict[tuple[int, bool], tuple[Feed, RuleTests]]] = {}


def hit_column(number: int) -> str:
    """The column that says who breaks a test."""
    return f"broken.{number}"


def _refusing(feed: Feed) -> list[RuleTest]:
    return [test for test, rule in zip(_all(feed), feed.rules, strict=False) if rule.action == "refuse"]


def _all(feed: Feed) -> list[RuleTest]:
    found = []
    for rule in feed.rules:
        check = rule.compiled()
        broken = check if isinstance(check, PastCheck) else check.broken()
        found.append(RuleTest(rule.code, f"{rule.code}: {check.explain()}", broken, rule.action == "flag"))
    if feed.shape.kind == "summary":
        detail = "not_finite: its mean or standard deviation is beyond the range of a double"
        overflow = pl.any_horizontal([pl.col(f"f.{name}").is_infinite() for name in SUMMARY])
        found.append(RuleTest("not_finite", detail, overflow))
    return found


def _compiled(feed: Feed, asked: Sequence[RuleTest]) -> RuleTests:
    texts = {f"t.{tag}" for tag in feed.tags}
    of_sets, of_records, wanted = [], [], set()
    past = {}
    for number, test in enumerate(asked):
        if isinstance(test.broken, PastCheck):
            past[number] = HistoryTest(test.broken, not test.flags)
            wanted.add(f"f.{test.broken.field}")
            continue
        expression = test.broken.fill_null(False).alias(hit_column(number))
        names = set(expression.meta.root_names())
        if names and names <= texts:
            of_sets.append(expression)
        else:
            of_records.append(expression)
            wanted |= names
    rejecting = [(number, test) for number, test in enumerate(asked) if not test.flags]
    return RuleTests(
        all=tuple(asked),
        of_sets=tuple(of_sets),
        of_records=tuple(of_records),
        wanted=frozenset(wanted),
        past=past,
        refused=_any([hit_column(number) for number, _ in rejecting if number not in past]),
        failed=_any([hit_column(number) for number, _ in rejecting]) if rejecting else None,
        codes=_codes(rejecting, "time_reason").alias("reasons"),
        detail=_details(rejecting).alias("detail"),
        marks=_marks([(number, test) for number, test in enumerate(asked) if test.flags]),
    )


def _any(hits: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(_TIMELESS, *hits)


def _codes(asked: Sequence[tuple[int, RuleTest]], *first: str) -> pl.Expr:
    codes = [pl.when(hit_column(number)).then(pl.lit(test.code)) for number, test in asked]
    return pl.concat_list(*first, *codes).list.drop_nulls().list.unique(maintain_order=True)


def _details(asked: Sequence[tuple[int, RuleTest]]) -> pl.Expr:
    details = [pl.when(hit_column(number)).then(pl.lit(test.detail)) for number, test in asked]
    return pl.concat_str([_TIME_DETAIL, *details], separator="; ", ignore_nulls=True)


def _marks(flagging: Sequence[tuple[int, RuleTest]]) -> pl.Expr | None:
    if not flagging:
        return None
    codes = _codes(flagging)
    return pl.when(codes.list.len() > 0).then(codes).alias("marks")
