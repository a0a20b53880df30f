"""Walks of simulated phones: for each user the fixes that a device would record, and the kinds of broken records.

Pure and seeded. A device writes its local time (zone of its position) without an offset, sometimes with an offset; two
of the users cross from one zone into another and back. A walk never has the same text twice; `fix_across_border` gives
a fix its text a second time, on the other side.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import tzfpy

from tidemill.model.time import NS_PER_S
from tidemill.model.zones import zone

_STARTS: Final = (
    (-7.035, 38.88),  # Caia: Portugal | Spain
    (-85.21, 33.00),  # Georgia | Alabama
    (-73.916, 40.701),  # New York
    (8.541, 47.374),  # Zürich
    (85.324, 27.717),  # Kathmandu, UTC+5:45
    (-46.633, -23.55),  # São Paulo
    (139.76, 35.68),  # Tokyo
    (-30.0, 45.0),  # at sea
)
_ACROSS: Final = 0.5  # degrees: the walks of those who cross stay nearer to their border
CROSSING: Final = 2  # so many of the first start points are on a border


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """One fix as sent (`timestamp` is the device's text) and its instant, ns UTC."""

    user_id: str
    timestamp: str
    lat: float
    long: float
    accuracy: float
    speed: float
    instant_ns: int

    def record(self) -> dict[str, Any]:
        """The fix as the body of `PUT /location`."""
        record = msgspec.structs.asdict(self)
        del record["instant_ns"]
        return record


def walk(seed: int, user: int, start_ns: int) -> Iterator[Fix]:
    """The fixes of one user in order of time, without end. The same arguments give the same fixes."""
    draw = random.Random(f"walk {seed} {user}")
    long, lat = _STARTS[user % len(_STARTS)]
    moment = datetime.fromtimestamp(start_ns // NS_PER_S, UTC)
    heading = draw.choice((-1, 1))
    written: set[str] = set()
    for step in range(10**12):
        moment += timedelta(seconds=draw.randint(2, 20), milliseconds=draw.choice((0, 0, 0, 250, 123)))
        if step % 40 == 20:
            heading = -heading
        speed = round(draw.uniform(0.2, 2.2), 2)
        long = round(long + heading * 0.0015, 6)
        lat = round(lat + draw.uniform(-0.0004, 0.0004), 6)
        text = _device_text(moment, lat, long, with_offset=draw.random() < 0.05)
        if text in written:
            continue
        written.add(text)
        if len(written) > 20_000:
            written.clear()  # older than the largest step back at a border
        yield Fix(
            user_id=f"sim{seed}-{user}",
            timestamp=text,
            lat=lat,
            long=long,
            accuracy=round(draw.uniform(3.0, 40.0), 1),
            speed=speed,
            instant_ns=int(moment.timestamp()) * NS_PER_S + moment.microsecond * 1000,
        )


def fix_across_border(fix: Fix) -> Fix | None:
    """The fix with the same text in the next zone to the east or west, where that is another instant; null where there
    is none near, or where the text has an offset or is no plain local time there."""
    here = tzfpy.get_tz(fix.long, fix.lat)
    for long in (fix.long - _ACROSS, fix.long + _ACROSS):
        there = tzfpy.get_tz(long, fix.lat)
        if there == here or "T" in fix.timestamp:
            continue
        local = datetime.fromisoformat(fix.timestamp).replace(tzinfo=zone(there))
        instant = local.astimezone(UTC)
        plain = local.utcoffset() == local.replace(fold=1).utcoffset() and instant.astimezone(zone(there)) == local
        instant_ns = int(instant.timestamp()) * NS_PER_S + instant.microsecond * 1000
        if plain and instant_ns != fix.instant_ns:
            return msgspec.structs.replace(fix, long=round(long, 6), instant_ns=instant_ns)
    return None


def _device_text(moment: datetime, lat: float, long: float, *, with_offset: bool) -> str:
    """A local time as devices write it. A time that occurs twice gets its offset, because it would be read as the
    earlier instant without one."""
    local = moment.astimezone(zone(tzfpy.get_tz(long, lat)))
    repeated = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    text = local.strftime("%Y-%m-%d %H:%M:%S")
    if local.microsecond:
        text += f".{local.microsecond:06d}".rstrip("0")
    if not (with_offset or repeated):
        return text
    offset = local.strftime("%z")
    return f"{text.replace(' ', 'T')}{offset[:3]}:{offset[3:5]}"


def broken_record(fix: Fix, number: int) -> tuple[bytes, tuple[str, ...]]:
    """The `number`-th kind of broken record: the body, and the paths that the refusal must name."""
    record = fix.record()
    changes, paths = _BREAKS[number % len(_BREAKS)]
    if isinstance(changes, bytes):
        return changes or msgspec.json.encode(record)[:-20], paths
    for name, value in changes.items():
        if value is _MISSING:
            del record[name]
        else:
            record[name] = value
    # NaN and numbers beyond a double are inserted as text, because the encoder refuses them
    return msgspec.json.encode(record).replace(b'"<nan>"', b"NaN").replace(b'"<huge>"', b"1e999"), paths


_MISSING: Final = object()
_BREAKS: Final[tuple[tuple[bytes | dict[str, Any], tuple[str, ...]], ...]] = (
    ({"lat": 90.5}, ("$.lat",)),
    ({"long": -181}, ("$.long",)),
    ({"lat": "north"}, ("$.lat",)),
    ({"timestamp": _MISSING}, ("$.timestamp",)),
    ({"user_id": _MISSING}, ("$.user_id",)),
    ({"user_id": ["a1"]}, ("$.user_id",)),
    ({"timestamp": "yesterday"}, ("$.timestamp",)),
    ({"timestamp": "2017-02-29 12:00:00"}, ("$.timestamp",)),
    ({"timestamp": 1483272312}, ("$.timestamp",)),
    ({"speed": "<huge>"}, ("$.speed",)),
    ({"speed": None}, ("$.speed",)),
    ({"accuracy": -1}, ("$.accuracy",)),
    ({"lat": _MISSING, "long": "x", "speed": -3}, ("$.lat", "$.long", "$.speed")),
    ({"lat": "<nan>"}, ()),
    (b"", ()),  # cut short
    (b"[1]", ("$[0]",)),
    (b"lat=40.7&long=-73.9", ()),
)
