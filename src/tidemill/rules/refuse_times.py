"""Checks at intake that the feed's policy for local times gives the time of a single record an instant. Pure.

Nearly every record is far from any change of its zone's offset and passes in some ten microseconds; only a time within
two days of a change is resolved as the mill resolves it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from tidemill.decode.batch import Batch
from tidemill.decode.plan import compile_plan
from tidemill.decode.times import DAY, INSTANT, LOCAL_MAX_NS, LOCAL_MIN_NS
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.feeds.paths import Path, in_record, parse_path
from tidemill.model.iso8601 import DAY_S
from tidemill.model.time import NS_PER_S
from tidemill.rules.time import resolve_times
from tidemill.rules.time_details import time_detail
from tidemill.rules.time_shifts import calendar_span
from tidemill.rules.zones import offsets_around, zone_at

_NEAR_NS: Final = 2 * DAY_S * NS_PER_S


class LocalTimeCheck:
    """The check of one feed whose payloads are single records. Thread-safe."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._times = compile_plan(feed).times
        self._path = feed.time.path or "$"
        self._keys = parse_path(self._path)
        # Such times are moved on the wall clock, by days or months: where they end is left to the full resolution.
        self._moved = feed.time.shift is not None or calendar_span(feed.time) is not None
        self._zone_position = tuple(map(parse_path, feed.time.zone_position or ()))
        used = (self._keys, *self._zone_position)
        self._plain = feed.input.records == "$" and all(map(in_record, used))  # members of the body itself

    def faults(self, body: bytes, decode: Callable[[], Batch]) -> tuple[Fault, ...]:
        """The fault of the record's time, or (). The body must have no faults of the contract; `decode` returns its
        batch and is called only where that is needed."""
        if not self._feed.time.zoned or (not self._moved and self._certain(body)):
            return ()
        frame = decode().frame
        if frame.height != 1:
            return ()
        resolved = resolve_times(self._feed, frame)
        reason = resolved["time_reason"][0]
        if reason == "fold_unclear":  # the mill decides it beside what is stored
            return ()
        if reason is None:
            return ()
        detail = resolved.select(time_detail(self._feed).alias("detail"))["detail"][0]
        return (Fault(self._path, reason, detail or "It has no instant."),)

    def _certain(self, body: bytes) -> bool:
        """Whether the record certainly has an instant. False also where that takes the full resolution to decide."""
        if not self._plain:
            return False
        try:
            record = msgspec.json.decode(body)
            ns, kind = self._times.parse_value(_member(record, self._keys))
            if kind == INSTANT:
                return True
            name = self._feed.time.zone
            if name is None and self._zone_position:
                latitude, longitude = (_member(record, keys) for keys in self._zone_position)
                name = zone_at(longitude, latitude)
        except (ValueError, KeyError, TypeError, AssertionError):  # the readers report the fault with its path
            return False
        if name is None or kind == DAY or not LOCAL_MIN_NS < ns < LOCAL_MAX_NS:
            return False
        year = datetime.fromtimestamp(ns // NS_PER_S, UTC).year
        return all(abs(change - ns) > _NEAR_NS for change in _changes(name, year))


@lru_cache(maxsize=4096)
def _changes(name: str, year: int) -> tuple[int, ...]:
    """The instants (ns) at which the offset of a zone changes in a year and around it."""
    return tuple(offsets_around(name, year).start_ns[1:].tolist())


def _member(record: Any, keys: Path) -> Any:
    for key in keys:
        record = record[key]
    return record
