"""Validates a feed definition beyond its types: names, paths, durations, zones and choices that fit together.

Each function yields the faults of one part; `feed_faults` joins them, so that one call reports all faults.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from tidemill.checks.check import Check, HistoryCheck
from tidemill.checks.library import checks_by_name, unusable_checks
from tidemill.checks.pattern_cost import MAX_COST, pattern_cost
from tidemill.checks.texts import Pattern, cost_fault
from tidemill.checks.trial import try_check
from tidemill.feeds.convert import DefinitionFault, did_you_mean
from tidemill.feeds.definition import Feed, Field, Rule
from tidemill.feeds.durations import duration_faults
from tidemill.feeds.key_lines import Key
from tidemill.feeds.validate_input import input_faults
from tidemill.feeds.validate_paths import path_faults
from tidemill.feeds.validate_shapes import shape_faults
from tidemill.feeds.validate_source import source_faults
from tidemill.feeds.validate_time import time_faults
from tidemill.feeds.validate_values import value_faults
from tidemill.model.units import conversion, readings

_FEED_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)

MAX_RULES: Final = 100  # every rule checks every record

# Tags and fields are query parameters and columns of answers; these names have another meaning there.
RESERVED: Final = frozenset(
    [
        *("time", "start", "end", "window", "limit", "cursor", "order", "every", "agg", "tz", "fill", "format"),
        *("feed", "field", "series", "receipt", "tenant", "seq", "idx"),
    ]
)


def is_feed_name(name: str) -> bool:
    """Whether a feed can have this name."""
    return _FEED_NAME.fullmatch(name) is not None


def feed_faults(feed: Feed) -> list[DefinitionFault]:
    """Every fault of a feed whose types are right; [] when there is none."""
    parts = (
        _name_faults,
        path_faults,
        time_faults,
        _field_faults,
        _shape_faults,
        _duplicates_faults,
        _rule_faults,
        _rollup_faults,
        _retention_faults,
        source_faults,
        input_faults,
        shape_faults,
        value_faults,
    )
    return [fault for part in parts for fault in part(feed)]


def _name_faults(feed: Feed) -> Iterator[DefinitionFault]:
    if _FEED_NAME.fullmatch(feed.name) is None:
        yield DefinitionFault(
            ("name",), "bad_name", f"'{feed.name[:80]}' must be a-z, 0-9, _ and -, starting with a letter"
        )
    for table, names in (("tags", feed.tags), ("attributes", feed.attributes), ("fields", feed.fields)):
        for name in names:
            if _NAME.fullmatch(name) is None:
                yield DefinitionFault((table, name), "bad_name", "a name is letters, digits, _ and -, at most 64")
            elif name in RESERVED:
                yield DefinitionFault(
                    (table, name), "reserved_name", f"'{name}' has a meaning in answers; choose another name"
                )
    for name in feed.tags.keys() & feed.fields.keys():
        yield DefinitionFault(("tags", name), "reserved_name", f"'{name}' is a field as well; choose another name")
    for name in feed.attributes.keys() & (feed.tags.keys() | feed.fields.keys()):
        message = f"'{name}' is a {'tag' if name in feed.tags else 'field'} as well; choose another name"
        yield DefinitionFault(("attributes", name), "reserved_name", message)


def _field_faults(feed: Feed) -> Iterator[DefinitionFault]:
    if feed.shape.kind != "samples" and not feed.fields and feed.registers is None:
        yield DefinitionFault(("fields",), "missing", "a feed needs at least one field (or [registers])")
    for name, field in feed.fields.items():
        if field.min is not None and field.max is not None and field.min > field.max:
            yield DefinitionFault(("fields", name, "min"), "conflict", f"min {field.min} is above max {field.max}")
        yield from _unit_faults(("fields", name), field)
    for table, texts in (("tags", feed.tags), ("attributes", feed.attributes)):
        for name, text in texts.items():
            if not 1 <= text.max_length <= 4096:
                yield DefinitionFault((table, name, "max_length"), "out_of_range", "max_length is 1 to 4096")
    if feed.registers is not None and feed.fields:
        yield DefinitionFault(("registers",), "conflict", "a feed has [fields] or [registers], not both")


def _unit_faults(key: Key, field: Field) -> Iterator[DefinitionFault]:
    if field.from_unit is None:
        return
    if field.unit is None:
        yield DefinitionFault((*key, "unit"), "missing", f"say into which unit {field.from_unit[:40]} is converted")
        return
    for option, unit in (("from_unit", field.from_unit), ("unit", field.unit)):
        try:
            readings(unit)
        except ValueError as error:
            yield DefinitionFault((*key, option), "unknown_unit", str(error))
            return
    try:
        conversion(field.from_unit, field.unit)
    except ValueError as error:
        yield DefinitionFault((*key, "from_unit"), "conflict", str(error))


def _shape_faults(feed: Feed) -> Iterator[DefinitionFault]:
    numbers = [name for name, field in feed.fields.items() if field.is_array]
    if feed.shape.kind == "summary" and (len(numbers) != 1 or len(feed.fields) != 1):
        message = "a summary needs exactly one field, of type 'numbers' or an array such as int16_le[]"
        yield DefinitionFault(("shape", "kind"), "conflict", message)
    if feed.shape.kind == "summary" and numbers and not feed.fields[numbers[0]].required:
        yield DefinitionFault(("fields", numbers[0], "required"), "conflict", "the field of a summary is required")
    if feed.shape.kind == "points" and numbers:
        message = f"a field of type '{feed.fields[numbers[0]].type}' needs [shape] kind = 'summary'"
        yield DefinitionFault(("fields", numbers[0], "type"), "conflict", message)
    if feed.shape.kind == "samples":
        own = ("fields", feed.fields), ("tags", feed.tags), ("attributes", feed.attributes), ("labels", feed.labels)
        for table, given in own:
            if given:
                yield DefinitionFault((table,), "conflict", "samples bring their own tags and values; leave this out")
        if feed.registers is not None:
            yield DefinitionFault(("registers",), "conflict", "samples bring their own values; leave this out")
        if feed.rules:
            yield DefinitionFault(("rules",), "conflict", "samples take no rules")
        if feed.input.formats != ("json",) or feed.input.records != "$":
            yield DefinitionFault(
                ("input",), "conflict", "samples are one JSON object: formats = ['json'], records = '$'"
            )


def _duplicates_faults(feed: Feed) -> Iterator[DefinitionFault]:
    if message := _duplicates_by_fault(feed):
        yield DefinitionFault(("duplicates_by",), "conflict", message)
    if feed.duplicates != "first" or feed.shape.kind != "points":
        return
    if not any(field.required for field in feed.fields.values()):
        message = "duplicates = 'first' needs a required field: it decides which record was first"
        yield DefinitionFault(("duplicates",), "conflict", message)


def _duplicates_by_fault(feed: Feed) -> str | None:
    """What is wrong with `duplicates_by`; null: nothing."""
    if "time" not in feed.duplicates_by:
        return "name 'time', too: a series has one point at a time"
    if not feed.compares_local_times:
        return None
    if feed.duplicates != "first":
        return "'local_time' needs duplicates = 'first'"
    if feed.shape.kind != "points" or feed.registers is not None:
        return "'local_time' needs records with [fields], one point for each"
    if any(issubclass(checks_by_name().get(rule.check, Check), HistoryCheck) for rule in feed.rules):
        return "'local_time' cannot be combined with rules that look at earlier records: leave out one or the other"
    if not feed.time.zoned:
        return "'local_time' needs local times: name their zone by 'zone', 'zone_path' or 'zone_position' in [time]"
    return None


def _rule_faults(feed: Feed) -> Iterator[DefinitionFault]:
    if len(feed.rules) > MAX_RULES:
        yield DefinitionFault(("rules",), "too_many", f"a feed has at most {MAX_RULES} rules, not {len(feed.rules)}")
        return
    cost = 0
    for number, rule in enumerate(feed.rules):
        key = ("rules", number)
        pattern = rule.options.get("pattern") if rule.check == Pattern.name else None
        cost += pattern_cost(pattern) if isinstance(pattern, str) else 0
        if cost > MAX_COST:  # this pattern and those after it are not compiled, since that would take too long
            yield DefinitionFault((*key, "options", "pattern"), "bad_options", cost_fault(cost))
            return
        if rule.check not in checks_by_name():
            wrong = unusable_checks().get(rule.check)
            message = (
                f"the plug-in '{rule.check[:60]}' cannot be used: {wrong}"
                if wrong
                else f"unknown check '{rule.check[:60]}'{did_you_mean(rule.check, checks_by_name())}"
            )
            yield DefinitionFault((*key, "check"), "unknown_check", message)
            continue
        if rule.reason is not None and _CODE.fullmatch(rule.reason) is None:
            yield DefinitionFault(
                (*key, "reason"), "bad_name", "a reason code is a-z, 0-9 and _, starting with a letter"
            )
        if unknown := list(_unknown_options(rule)):
            yield from (
                DefinitionFault((*key, "options", option), "bad_options", message) for option, message in unknown
            )
            continue
        check, faults = try_check(rule.check, rule.options, feed.columns)
        if rule.action == "refuse" and isinstance(check, HistoryCheck):
            yield DefinitionFault(
                (*key, "action"), "conflict", f"'{rule.check}' needs the past, which intake does not look at"
            )
        for option, message in faults:
            where = ("options", option) if option else ("options",)
            yield DefinitionFault((*key, *where), "bad_options", message if option else f"{rule.check}: {message}")


def _unknown_options(rule: Rule) -> Iterator[tuple[str, str]]:
    """(option, sentence) for each option of a rule that its check does not have; the check must be known."""
    known = [field.encode_name for field in msgspec.structs.fields(checks_by_name()[rule.check])]
    for option in rule.options:
        if option not in known:
            hint = did_you_mean(option, known)
            more = f"; its options: {', '.join(known)}" if "did you mean" in hint else ""
            yield option, f"'{rule.check}' has no option '{option[:60]}'{hint}{more}"


def _rollup_faults(feed: Feed) -> Iterator[DefinitionFault]:
    if feed.rollups is None:
        return
    yield from duration_faults(("rollups", "every"), feed.rollups.every, whole_seconds=True)
    yield from duration_faults(("rollups", "late_after"), feed.rollups.late_after)
    if feed.rollups.interval is not None:
        yield from duration_faults(("rollups", "interval"), feed.rollups.interval)
    if not feed.rollups.aggregates:
        yield DefinitionFault(("rollups", "aggregates"), "empty", "name at least one aggregate")


def _retention_faults(feed: Feed) -> Iterator[DefinitionFault]:
    if feed.retention.points is not None:
        yield from duration_faults(("retention", "points"), feed.retention.points)
    if feed.retention.seal_rollups and (feed.rollups is None or feed.retention.points is None):
        yield DefinitionFault(("retention", "seal_rollups"), "conflict", "sealing needs [rollups] and retention.points")
