"""The tests of a feed version's rules as Polars expressions, compiled once: a batch of one record must not pay for
building dozens of expressions, and feed versions never change."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import polars as pl

from tidemill.checks.look_back import PastCheck
from tidemill.feeds.definition import SUMMARY, Feed
from tidemill.rules.history import HistoryTest
from tidemill.rules.time_details import time_detail

_MAX_CACHED: Final = 1_000
_TIMELESS: Final = pl.col("time_reason").is_not_null()


class RuleTest(msgspec.Struct, frozen=True):
    """One rule as a test of every record: the reason code and sentence of a record that breaks it, the test itself (an
    expression that is true where it is broken, or a check that needs the past), and whether a hit only flags."""

    code: str
    detail: str
    broken: pl.Expr | PastCheck
    flags: bool = False


class RuleTests(msgspec.Struct, frozen=True):
    """The tests of a feed, and the expressions over their hits, which are the columns `broken.<number>`.

    `by_tags` look at tags only, `by_record` at other columns too; `columns` must be in the frame of records. `past`:
    the tests that need the past, by number. `refused`: records that are rejected whatever the past is; `failed`:
    records that are rejected at all (None: only records without an instant). `codes` and `detail` give the reasons,
    `marks` the codes of the tests that flagged a record (None: no test flags)."""

    all: tuple[RuleTest, ...]
    by_tags: tuple[pl.Expr, ...]
    by_record: tuple[pl.Expr, ...]
    columns: frozenset[str]
    past: Mapping[int, HistoryTest]
    refused: pl.Expr
    failed: pl.Expr | None
    codes: pl.Expr
    detail: pl.Expr
    marks: pl.Expr | None


def feed_tests(feed: Feed, *, refusing: bool = False) -> RuleTests:
    """The tests of a feed's rules, in their order; with `refusing` only those of action `refuse`.

    Shape `summary` has one more test, the last: a figure beyond the range of a double."""
    key = (id(feed), refusing)
    kept = _cache.get(key)
    if kept is None:
        if len(_cache) >= _MAX_CACHED:
            _cache.clear()
        # The feed is kept with its tests, so that no other feed can get the same id.
        kept = _cache[key] = (feed, _compile_tests(feed, _refusing_tests(feed) if refusing else _all_tests(feed)))
    return kept[1]


_cache: Final[dict[tuple[int, bool], tuple[Feed, RuleTests]]] = {}


def hit_column(number: int) -> str:
    """The name of the boolean column with the hits of a test."""
    return f"broken.{number}"


def _refusing_tests(feed: Feed) -> list[RuleTest]:
    return [test for test, rule in zip(_all_tests(feed), feed.rules, strict=False) if rule.action == "refuse"]


def _all_tests(feed: Feed) -> list[RuleTest]:
    rule_tests = []
    for rule in feed.rules:
        check = rule.compiled()
        broken = check if isinstance(check, PastCheck) else check.broken_in(feed.columns)
        rule_tests.append(RuleTest(rule.code, f"{rule.code}: {check.explain()}", broken, rule.action == "flag"))
    if feed.shape.kind == "summary":
        detail = "not_finite: its mean or standard deviation is beyond the range of a double"
        overflow = pl.any_horizontal([pl.col(f"f.{name}").is_infinite() for name in SUMMARY])
        rule_tests.append(RuleTest("not_finite", detail, overflow))
    return rule_tests


def _compile_tests(feed: Feed, rule_tests: Sequence[RuleTest]) -> RuleTests:
    texts = {f"t.{tag}" for tag in feed.tags}
    by_tags, by_record, columns = [], [], set()
    past = {}
    for number, test in enumerate(rule_tests):
        if isinstance(test.broken, PastCheck):
            past[number] = HistoryTest(test.broken, not test.flags, test.code, _resumes(test, rule_tests))
            columns.add(f"f.{test.broken.field}")
            continue
        expression = test.broken.fill_null(False).alias(hit_column(number))
        names = set(expression.meta.root_names())
        if names and names <= texts:
            by_tags.append(expression)
        else:
            by_record.append(expression)
            columns |= names
    rejecting = [(number, test) for number, test in enumerate(rule_tests) if not test.flags]
    return RuleTests(
        all=tuple(rule_tests),
        by_tags=tuple(by_tags),
        by_record=tuple(by_record),
        columns=frozenset(columns),
        past=past,
        refused=_any_hit([hit_column(number) for number, _ in rejecting if number not in past]),
        failed=_any_hit([hit_column(number) for number, _ in rejecting]) if rejecting else None,
        codes=_codes(rejecting, "time_reason").alias("reasons"),
        detail=_details(rejecting, time_detail(feed)).alias("detail"),
        marks=_marks([(number, test) for number, test in enumerate(rule_tests) if test.flags]),
    )


def _resumes(test: RuleTest, rule_tests: Sequence[RuleTest]) -> bool:
    """Whether records that only this test rejects belong to its past: its reason code must say so, also in the
    ledger."""
    alike = [other.broken for other in rule_tests if other.code == test.code and not other.flags]
    return not test.flags and all(isinstance(broken, PastCheck) and broken.resumes for broken in alike)


def _any_hit(hits: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(_TIMELESS, *hits)


def _codes(rule_tests: Sequence[tuple[int, RuleTest]], *first: str) -> pl.Expr:
    codes = [pl.when(hit_column(number)).then(pl.lit(test.code)) for number, test in rule_tests]
    return pl.concat_list(*first, *codes).list.drop_nulls().list.unique(maintain_order=True)


def _details(rule_tests: Sequence[tuple[int, RuleTest]], of_time: pl.Expr) -> pl.Expr:
    details = [pl.when(hit_column(number)).then(pl.lit(test.detail)) for number, test in rule_tests]
    return pl.concat_str([of_time, *details], separator="; ", ignore_nulls=True)


def _marks(flagging: Sequence[tuple[int, RuleTest]]) -> pl.Expr | None:
    if not flagging:
        return None
    codes = _codes(flagging)
    return pl.when(codes.list.len() > 0).then(codes).alias("marks")
