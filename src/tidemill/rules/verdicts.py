"""What each rule of a feed says of single records, for people: broken, passed or not judged, in a sentence, and which
members of the record the rule looks at. Pure."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import polars as pl

from tidemill.checks.look_back import PastCheck
from tidemill.feeds.definition import SUMMARY, Feed, Rule
from tidemill.rules.rule_tests import feed_tests, hit_column

Verdict = Literal["passed", "broken", "not_judged"]
CONTRACT_BROKEN: Final = "Not judged, because the record broke the contract of the feed."
_MEMBER_KINDS: Final = {"f": "fields", "t": "tags", "a": "attributes"}


class RuleVerdict(msgspec.Struct, frozen=True):
    """What one rule says of a record. `number`: its place among the rules of the definition, from 0; `check`, `reason`
    (the code of a record that breaks it) and `action` as the definition has them; `sentence` is for people."""

    number: int
    check: str
    reason: str
    action: Literal["reject", "flag", "refuse"]
    verdict: Verdict
    sentence: str


class FeedRules(msgspec.Struct, frozen=True):
    """The rules of a feed version, for their verdicts. `explanations`: of each rule, what breaks it; `members`: the
    columns (`f.bar`, `t.pump`, `time`) that each rule looks at; `past`: the numbers of rules that look back."""

    rules: tuple[Rule, ...]
    explanations: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    past: frozenset[int]

    def verdicts(self, hits: Mapping[int, bool | None], why_not: str = CONTRACT_BROKEN) -> list[RuleVerdict]:
        """The verdict of each rule, from whether the record breaks it, by the rule's number; None or absent: it was not
        judged, because of `why_not`."""
        return [self._verdict(number, hits.get(number), why_not) for number in range(len(self.rules))]

    def broken_members(self, hits: Mapping[int, bool | None]) -> list[tuple[str, str]]:
        """(column, reason code) of what the broken rules look at, each once."""
        pairs = {
            (column, rule.code): None
            for number, rule in enumerate(self.rules)
            if hits.get(number)
            for column in self.members[number]
        }
        return list(pairs)

    def _verdict(self, number: int, broken: bool | None, why_not: str) -> RuleVerdict:
        rule, explanation = self.rules[number], self.explanations[number]
        verdict: Verdict = "not_judged" if broken is None else "broken" if broken else "passed"
        sentence = {
            "not_judged": why_not,
            "broken": f"Broken: {explanation}.",
            "passed": f"Passed. A record breaks this rule where {explanation}.",
        }[verdict]
        return RuleVerdict(number, rule.check, rule.code, rule.action, verdict, sentence)


def feed_rules(feed: Feed) -> FeedRules:
    """The rules of a feed that `load_feed` returned."""
    checks = [rule.compiled() for rule in feed.rules]
    tests = feed_tests(feed).all
    members = []
    for check, test in zip(checks, tests, strict=False):
        columns = [f"f.{check.field}"] if isinstance(check, PastCheck) else _columns(test.broken)
        members.append(tuple(columns))
    past = frozenset(number for number, check in enumerate(checks) if isinstance(check, PastCheck))
    return FeedRules(feed.rules, tuple(check.explain() for check in checks), tuple(members), past)


def _columns(expression: Any) -> list[str]:
    names = dict.fromkeys(expression.meta.root_names())
    return [name for name in names if name not in ("received_ns", "seq", "idx")]


def record_hits(feed: Feed, judged: pl.DataFrame) -> dict[int, dict[int, bool | None]]:
    """Of each record (by `idx`) of a judged frame of one payload: which rules it breaks, by number. A rule that looks
    back is None for a record without an instant: nothing tells what was before it."""
    past = {number for number, rule in enumerate(feed.rules) if isinstance(rule.compiled(), PastCheck)}
    names = {hit_column(number): number for number in range(len(feed.rules))}
    rows = judged.select("idx", "time", *(name for name in names if name in judged.columns))
    return {
        row["idx"]: {
            number: None if number in past and row["time"] is None else bool(row[name])
            for name, number in names.items()
            if name in row
        }
        for row in rows.iter_rows(named=True)
    }


def member_paths(feed: Feed, column: str) -> list[str]:
    """The paths, relative to the record, of the member that a column (`f.bar`, `t.pump`, `labels`, `time`) is read
    from; of binary records the names of members. [] for a column that no member of the record holds."""
    letter, _, name = column.partition(".")
    if column in ("time", "time_reason"):
        return [path for path in (feed.time.path, feed.time.zone_path, *(feed.time.zone_position or ())) if path]
    if column == "labels":
        return [] if feed.labels is None else [feed.labels.path]
    if letter == "f" and feed.shape.kind == "summary" and name in SUMMARY:
        name = next(iter(feed.fields))
    if letter not in _MEMBER_KINDS:
        return []
    member = getattr(feed, _MEMBER_KINDS[letter]).get(name)
    if member is not None:
        return [member.path] if member.path else []
    if letter == "f" and feed.registers is not None:
        value = feed.registers.value_path
        return [value] if value else [f"$['{name}']"]
    return []
