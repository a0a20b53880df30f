"""Checks of the form of a text: its length, a pattern, the type that it spells."""

from functools import lru_cache
from typing import Annotated, ClassVar, Final, Literal

import polars as pl

from tidemill.checks.check import FeedColumns, Kind, meant
from tidemill.checks.pattern_cost import MAX_COST, MAX_PATTERN, has_free_spacing, pattern_cost
from tidemill.checks.subject import SubjectCheck, TextCheck

Spelling = Literal["integer", "number", "boolean", "uuid", "ipv4", "ipv6", "date", "datetime"]

_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(\.{_OCTET}){{3}}"
_HEX: Final = "[0-9a-fA-F]{1,4}"
_DATE: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_OFFSET: Final = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"


def _ipv6() -> str:
    """RFC 4291, section 2.2: eight groups, the last two perhaps as an IPv4 address, one run of them left out as `::`.

    As in RFC 3986: an alternative for each number of groups that can precede the `::`.
    """
    tail = f"({_HEX}:{_HEX}|{_IPV4})"
    forms = [f"({_HEX}:){{6}}{tail}", f"::({_HEX}:){{5}}{tail}"]
    forms += [f"(({_HEX}:){{0,{n}}}{_HEX})?::({_HEX}:){{{4 - n}}}{tail}" for n in range(5)]
    forms += [f"(({_HEX}:){{0,5}}{_HEX})?::{_HEX}", f"(({_HEX}:){{0,6}}{_HEX})?::"]
    return "|".join(forms)


_SPELLINGS: Final[dict[Spelling, str]] = {
    "integer": "[+-]?[0-9]+",
    "number": r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "boolean": "true|false",
    "uuid": "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "ipv4": _IPV4,
    "ipv6": _ipv6(),
    "date": _DATE,
    "datetime": f"{_DATE}[Tt ]{_CLOCK}{_OFFSET}",
}


class Pattern(TextCheck, frozen=True, kw_only=True):
    r"""The whole text does not match `pattern`, a regular expression that is judged in time linear in the text: the
    syntax of Rust's `regex`, which is that of RE2 (no look-around, no back-references; `\d` and `\w` are of Unicode). A
    text that is not there passes."""

    name = "pattern"
    reason = "no_match"
    example = "tag = \"pump\", pattern = 'P-[0-9]{4}'"

    pattern: Annotated[str, meant("the regular expression, for the whole text")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """The pattern must be one."""
        wrong = pattern_fault(self.pattern)
        return [*super().faults(columns), *([("pattern", wrong)] if wrong else [])]

    def broken(self) -> pl.Expr:
        """No match from the text's beginning to its end."""
        return self.where(lambda text: text.str.contains(_whole(self.pattern)).not_())

    def explain(self) -> str:
        """The pattern."""
        return f"{self.subject} does not match {self.pattern}"


class Length(TextCheck, frozen=True, kw_only=True):
    """The text, or one of the labels, has fewer than `min` or more than `max` characters (Unicode code points); a text
    that is not there passes."""

    name = "length"
    reason = "wrong_length"
    example = 'tag = "serial", min = 8, max = 12'

    min: Annotated[int, meant("the fewest characters that pass")] = 0
    max: Annotated[int | None, meant("the most characters that pass")] = None

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """One bound at least, none negative, `min` not above `max`."""
        faults = super().faults(columns)
        if self.min <= 0 and self.max is None:
            faults.append(("min", "give min, max or both"))
        if self.min < 0 or (self.max is not None and self.max < self.min):
            faults.append(("min" if self.min < 0 else "max", f"{self.min} to {self.max} is no range of lengths"))
        return faults

    def broken(self) -> pl.Expr:
        """Too short or too long."""
        return self.where(self._outside)

    def explain(self) -> str:
        """The bounds."""
        most = "" if self.max is None else f" and at most {self.max}"
        return f"{self.subject} has not at least {self.min}{most} characters"

    def _outside(self, text: pl.Expr) -> pl.Expr:
        length = text.str.len_chars()
        return length < self.min if self.max is None else (length < self.min) | (length > self.max)


class Type(SubjectCheck, frozen=True, kw_only=True):
    """A text does not spell a value of `type`: `integer`, `number` (decimal, with or without exponent), `boolean`
    (`true` or `false`), `uuid`, `ipv4`, `ipv6`, `date` (2026-01-31) or `datetime` (RFC 3339, with offset). Or the value
    of `field` is no whole number, for which `type` is `integer`. What is not there passes."""

    name = "type"
    reason = "wrong_type"
    kind: ClassVar[Kind] = "text"
    example = 'tag = "device", type = "uuid"'

    type: Annotated[Spelling, meant("what the text must spell")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """A field holds numbers; only whether it is whole can be asked."""
        faults = super().faults(columns)
        if self.field is not None and self.type != "integer":
            faults.append(("type", f"a field holds numbers: ask for type 'integer', not '{self.type}'"))
        return faults

    def broken(self) -> pl.Expr:
        """Of another form; for dates also a day that never was."""
        if self.field is not None:
            return self.column != self.column.floor()
        return self.where(self._misspelt)

    def explain(self) -> str:
        """The type."""
        return f"{self.subject} is no {'whole number' if self.field else self.type}"

    def _misspelt(self, text: pl.Expr) -> pl.Expr:
        formed = text.str.contains(_whole(_SPELLINGS[self.type]))
        if self.type not in ("date", "datetime"):
            return formed.not_()
        day = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        real = day.is_not_null() & (day.dt.year() > 0)
        return pl.when(text.is_not_null()).then((formed & real).not_())


@lru_cache(maxsize=4096)
def pattern_fault(pattern: str) -> str:
    """The fault of a regular expression, in the words of the engine that evaluates it; "" without a fault. A pattern
    that would cost too much is not compiled."""
    if len(pattern) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN} characters, not {len(pattern)}"
    if has_free_spacing(pattern):
        return "the flag x (free spacing) is not taken; write the pattern without spaces"
    if (cost := pattern_cost(pattern)) > MAX_COST:
        return cost_fault(cost)
    try:
        for text in (pattern, _whole(pattern)):  # alone first: `a)|(b` would be well-formed with our brackets around it
            pl.select(pl.lit("").str.contains(text))
    except pl.exceptions.PolarsError as error:
        return str(error).split("\n\nThis error occurred")[0].removeprefix("regex error: ").strip()
    return ""


def cost_fault(cost: int) -> str:
    """The sentence about a pattern, or all patterns of a feed, whose cost is above MAX_COST."""
    return (
        f"the patterns of a feed may cost {MAX_COST} units, and up to here they cost {cost}: each part counts as often"
        r" as it is repeated, \w and \p{..} as 150, \d and \s as 15; write [0-9A-Za-z_] for \w, or repeat less"
    )


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"
