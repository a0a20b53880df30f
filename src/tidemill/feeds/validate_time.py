"""Validates [time] beyond its types: formats must be known and distinguishable, with one way to get an instant."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from tidemill.feeds.convert import DefinitionFault, did_you_mean
from tidemill.feeds.definition import Feed
from tidemill.feeds.durations import duration_faults
from tidemill.feeds.formats import LAYOUT_FORMATS
from tidemill.feeds.time_policy import NAMED, UNIX, TimePolicy
from tidemill.model.iso8601 import Written, parse_iso
from tidemill.model.spans import parse_span
from tidemill.model.time import check_range
from tidemill.model.time_patterns import compile_pattern
from tidemill.model.zones import zone

MAX_FORMATS: Final = 20  # each is tried on every text that fits none
# Times whose days and months can be confused, in years whose last two digits can be confused with them as well.
_PROBES: Final = [datetime(2003, 1, 1, 5, 7, 9, tzinfo=UTC) + timedelta(days=101 * n, hours=7 * n) for n in range(60)]


def time_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of [time]."""
    time = feed.time
    if feed.shape.kind == "samples":
        if time != TimePolicy():
            yield DefinitionFault(("time",), "conflict", "samples bring their own times; leave [time] out")
        return
    faults = list(_format_faults(time))
    yield from faults
    if time.received:
        if time.path is not None or time.zoned or time.offset_path is not None:
            yield DefinitionFault(("time",), "conflict", "format 'received' takes no path and no zone")
        if time.stamp == "end" or time.shift is not None:
            yield DefinitionFault(
                ("time",), "conflict", "the time of receipt is no end of an interval and needs no shift"
            )
        return
    if time.path is None and feed.input.layout is None:
        packed = any(name in LAYOUT_FORMATS for name in feed.input.formats)
        where = "at" if packed else "path"
        yield DefinitionFault(
            ("time", where), "missing", f"say where the time is ({where}), or take format = 'received'"
        )
    if not faults:
        yield from _offset_faults(feed)
    yield from _interval_faults(time)
    yield from _shift_faults(time)
    if time.zone is not None and zone(time.zone) is None:
        message = f"there is no zone '{time.zone[:60]}'; write it as Europe/Zurich"
        yield DefinitionFault(("time", "zone"), "unknown_zone", message)


def _format_faults(time: TimePolicy) -> Iterator[DefinitionFault]:
    key, formats = ("time", "format"), time.formats
    if not 1 <= len(formats) <= MAX_FORMATS:
        yield DefinitionFault(key, "out_of_range", f"name 1 to {MAX_FORMATS} formats")
        return
    before = 0
    for name in formats:
        if "%" in name:
            try:
                compile_pattern(name)
            except ValueError as error:
                before += 1
                yield DefinitionFault(key, "bad_pattern", str(error))
        elif name not in NAMED:
            before += 1
            hint = did_you_mean(name, NAMED)
            message = f"'{name[:60]}' is none of the choices{hint}; a pattern has directives such as %d.%m.%Y %H:%M"
            yield DefinitionFault(key, "wrong_type", message)
    if len(set(formats)) < len(formats):
        yield DefinitionFault(key, "conflict", "the same format is there twice")
    if "received" in formats and len(formats) > 1:
        yield DefinitionFault(key, "conflict", "'received' takes the time of receipt; it stands alone")
    units = [name for name in formats if name in UNIX]
    if len(units) > 1:
        yield DefinitionFault(
            key, "conflict", f"a number cannot be told to be {units[0]} or {units[1]}; keep one of them"
        )
    if not before:
        yield from _ambiguity_faults(time)


def _ambiguity_faults(time: TimePolicy) -> Iterator[DefinitionFault]:
    """The first fault of a pattern that reads some text as another time than another format of the list does."""
    patterns = {name: compile_pattern(name) for name in time.formats if "%" in name}
    readers: dict[str, Callable[[str], Written]] = {name: pattern.parse for name, pattern in patterns.items()}
    if "iso8601" in time.formats or "rfc3339" in time.formats:
        readers["iso8601"] = parse_iso
    units = [name for name in time.formats if name in UNIX]
    for name, pattern in patterns.items():
        text = pattern.write(_PROBES[0])
        if units and text.isascii() and text.isdigit():
            message = f"'{text}' is a time by {name} and a number by {units[0]}; keep one of them"
            yield DefinitionFault(("time", "format"), "conflict", message)
            return
        for other, read in readers.items():
            if other == name:
                continue
            for text in map(pattern.write, _PROBES):
                try:
                    same = pattern.parse(text) == read(text)
                except ValueError:
                    continue
                if not same:
                    message = f"'{text}' is another time by {name} than by {other}; keep one of them"
                    yield DefinitionFault(("time", "format"), "conflict", message)
                    return


def _interval_faults(time: TimePolicy) -> Iterator[DefinitionFault]:
    key = ("time", "interval")
    if time.interval is None:
        if time.stamp == "end":
            message = "say how long the intervals are that the times are the end of, such as 30m or 1mo"
            yield DefinitionFault(key, "missing", message)
        return
    if time.stamp == "begin":
        yield DefinitionFault(key, "conflict", "it is of no use unless stamp = 'end'")
    try:
        parse_span(time.interval)
    except ValueError as error:
        yield DefinitionFault(key, "bad_duration", str(error))


def _shift_faults(time: TimePolicy) -> Iterator[DefinitionFault]:
    shift = time.shift
    if shift is None:
        return
    for name, text in (("by", shift.by.removeprefix("-")), ("older_than", shift.older_than)):
        if text is not None:
            yield from duration_faults(("time", "shift", name), text)
    for name, text in (("before", shift.before), ("after", shift.after)):
        try:
            if text is not None:
                check_range(parse_iso(text).wall_ns)
        except ValueError as error:
            yield DefinitionFault(("time", "shift", name), "bad_time", str(error))


def _offset_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Faults of how a local time becomes an instant: offset, zone and epoch."""
    time = feed.time
    texts = any(name not in UNIX for name in time.formats)
    zones = [name for name in ("zone", "zone_path", "zone_position") if getattr(time, name) is not None]
    if len(zones) > 1:
        yield DefinitionFault(("time", zones[1]), "conflict", f"one source of the zone, not {' and '.join(zones)}")
    if time.epoch == "local" and not time.counted:
        yield DefinitionFault(
            ("time", "epoch"), "conflict", "texts count nothing; epoch is about unix_s, unix_ms, unix_us, unix_ns"
        )
    elif time.epoch == "local" and not zones and time.offset_path is None:
        message = "numbers that count local time need a zone, zone_path, zone_position or offset_path"
        yield DefinitionFault(("time", "epoch"), "missing", message)
    elif zones and time.epoch == "utc" and (not texts or time.offset == "required"):
        why = "offset = 'required' leaves nothing to find out" if texts else "numbers are UTC (unless epoch = 'local')"
        yield DefinitionFault(("time", zones[0]), "conflict", f"a zone is of no use: {why}")
    if texts and time.offset == "optional" and not zones:
        message = "without an offset a zone, zone_path or zone_position is needed"
        if time.offset_path is not None:
            message += "; if offset_path always has one, leave offset = 'optional' out"
        yield DefinitionFault(("time", "offset"), "missing", message)
    if time.offset_path is not None and feed.input.layout is not None:
        yield DefinitionFault(("time", "offset_path"), "conflict", "a path is for JSON; a binary record takes a zone")
    elif time.offset_path is not None and not texts and time.epoch == "utc":
        message = "an offset is of no use: numbers are UTC (unless epoch = 'local')"
        yield DefinitionFault(("time", "offset_path"), "conflict", message)
    if time.offset_unit != "s" and time.offset_path is None:
        yield DefinitionFault(
            ("time", "offset_unit"), "conflict", "it is the unit of a number at offset_path; name that, too"
        )
