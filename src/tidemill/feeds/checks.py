"""The checks a feed's rules may name, as data: options, reason code, and what they mean (their docstrings are the
documentation). `rules/checks.py` evaluates them; this file decides nothing about a record."""

from typing import ClassVar, Final

import msgspec

from tidemill.feeds.definition import Feed, Rule
from tidemill.model.time import duration_ns


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named check. `reason` is the code it gives unless the rule names another."""

    name: ClassVar[str]
    reason: ClassVar[str]

    def faults(self, feed: Feed) -> list[tuple[str, str]]:
        """What is wrong with the options in this feed: (option, sentence) each; [] when nothing is."""
        return []


def _duration_faults(option: str, text: str) -> list[tuple[str, str]]:
    try:
        duration_ns(text)
    except ValueError as error:
        return [(option, str(error))]
    return []


def _field_faults(feed: Feed, field: str) -> list[tuple[str, str]]:
    known = [name for name, spec in feed.fields.items() if spec.type != "numbers"]
    if feed.registers is not None or field in known:
        return []
    return [("field", f"'{field}' is not a number field of this feed (known: {', '.join(known) or 'none'})")]


class MaxAge(Check, frozen=True):
    """The record's time is more than `max_age` before it was received (the time of receipt, so that a replay
    decides the same)."""

    name = "max_age"
    reason = "too_old"
    max_age: str

    def faults(self, feed: Feed) -> list[tuple[str, str]]:
        """`max_age` must be a duration."""
        return _duration_faults("max_age", self.max_age)


class MaxFuture(Check, frozen=True):
    """The record's time is more than `max_future` after it was received."""

    name = "max_future"
    reason = "in_future"
    max_future: str

    def faults(self, feed: Feed) -> list[tuple[str, str]]:
        """`max_future` must be a duration."""
        return _duration_faults("max_future", self.max_future)


class LabelAbsent(Check, frozen=True):
    """The record carries the label `label`, which must be absent."""

    name = "label_absent"
    reason = "label_present"
    label: str

    def faults(self, feed: Feed) -> list[tuple[str, str]]:
        """The feed must have labels."""
        return [] if feed.labels else [("label", "this feed has no [labels] to look at")]


class LabelPresent(Check, frozen=True):
    """The record lacks the label `label`, which must be present."""

    name = "label_present"
    reason = "label_absent"
    label: str

    def faults(self, feed: Feed) -> list[tuple[str, str]]:
        """The feed must have labels."""
        return [] if feed.labels else [("label", "this feed has no [labels] to look at")]


class Range(Check, frozen=True):
    """The value of `field` is below `min` or above `max` (both inclusive; a missing value passes)."""

    name = "range"
    reason = "outside_range"
    field: str
    min: float | None = None
    max: float | None = None

    def faults(self, feed: Feed) -> list[tuple[str, str]]:
        """`field` must exist, one bound must be given, and `min` must not be above `max`."""
        found = _field_faults(feed, self.field)
        if self.min is None and self.max is None:
            found.append(("min", "give min, max or both"))
        if self.min is not None and self.max is not None and self.min > self.max:
            found.append(("min", f"min {self.min} is above max {self.max}"))
        return found


class OneOf(Check, frozen=True):
    """The tag `tag` has none of the allowed `values` (a tag that is not there passes)."""

    name = "one_of"
    reason = "not_allowed"
    tag: str
    values: tuple[str, ...]

    def faults(self, feed: Feed) -> list[tuple[str, str]]:
        """`tag` must exist and `values` must not be empty."""
        found = [] if self.values else [("values", "name at least one allowed value")]
        if self.tag not in feed.tags:
            found.append(("tag", f"'{self.tag}' is not a tag of this feed (known: {', '.join(feed.tags) or 'none'})"))
        return found


CHECKS: Final[dict[str, type[Check]]] = {
    check.name: check for check in (MaxAge, MaxFuture, LabelAbsent, LabelPresent, Range, OneOf)
}


def compile_rule(rule: Rule) -> Check:
    """The check of a rule with its options. Raises KeyError for an unknown check, msgspec.ValidationError for
    options that do not fit; neither can happen for a feed that `load` returned."""
    return msgspec.convert(rule.options, CHECKS[rule.check], strict=True)


def reason_of(rule: Rule) -> str:
    """The reason code that a rule gives."""
    return rule.reason or CHECKS[rule.check].reason
