"""Reads Green Button XML (NAESB ESPI): each interval reading becomes a record.

A record has the `usage_point` and the `meter_reading` (the addresses of both in the file), the begin of the interval
(`time`, Unix seconds) and its `duration` in seconds, the `value` with its power of ten applied, the `unit`, the `flow`
(`delivered`, `received` or the code), and `cost` and `quality` where the file has them. The file is read twice: reading
types may stand behind what they describe.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from xml.etree import ElementTree

import msgspec

from tidemill.client.files.chunks import FileChunk, FileRecord, gathered
from tidemill.client.files.inputs import InputStream
from tidemill.errors import InputError

_UNITS: Final = {
    "5": "A", "29": "V", "31": "J", "33": "Hz", "38": "W", "42": "m3", "61": "VA", "63": "var", "71": "VAh",
    "72": "Wh", "73": "varh", "119": "ft3", "132": "Btu", "169": "therm",
}  # fmt: skip
_FLOWS: Final = {"1": "delivered", "19": "received"}
_MOST_TYPES: Final = 100_000


class ReadingType(msgspec.Struct, frozen=True):
    """What the numbers of a meter reading mean: the power of ten, unit and flow as words."""

    power: int = 0
    unit: str | None = None
    flow: str | None = None


def read_green_button(opened: InputStream) -> Iterator[FileChunk]:
    """Chunks of interval readings as NDJSON. Raises InputError for a file that is not whole, or has no reading."""
    types = _reading_types(opened)
    opened.stream.seek(0)
    yield from gathered(_records(opened, types), unit="reading", total=opened.size)


def _entries(opened: InputStream) -> Iterator[ElementTree.Element]:
    """The entries of the feed, each freed after its use. Raises InputError."""
    try:
        for _, element in ElementTree.iterparse(opened.stream):
            if _name(element) == "entry":
                yield element
                element.clear()
    except ElementTree.ParseError as error:
        raise InputError(f"it is no whole XML ({error}); fetch it again") from None


def _reading_types(opened: InputStream) -> dict[str, ReadingType]:
    """The type of each meter reading, by the address of the meter reading."""
    types: dict[str, ReadingType] = {}
    related: dict[str, list[str]] = {}
    for entry in _entries(opened):
        own, links = _links(entry)
        found = _child(entry, "ReadingType")
        if found is not None:
            texts = {_name(item): (item.text or "").strip() for item in found}
            unit, flow = texts.get("uom"), texts.get("flowDirection")
            power = texts.get("powerOfTenMultiplier") or "0"
            types[own] = ReadingType(_power(power), _UNITS.get(unit or "", unit), _FLOWS.get(flow or "", flow))
        elif _child(entry, "MeterReading") is not None:
            related[own] = links
        if len(types) + len(related) > _MOST_TYPES:
            raise InputError(f"it has more than {_MOST_TYPES:,} meter readings; split it")
    return {own: types[link] for own, links in related.items() for link in links if link in types}


def _power(text: str) -> int:
    """A power of ten. Raises InputError for one that no unit has."""
    if re.fullmatch(r"[+-]?[0-9]{1,2}", text, re.ASCII) is None:
        raise InputError(f"its powerOfTenMultiplier '{text[:40]}' is no whole number of at most two digits")
    return int(text)


def _records(opened: InputStream, types: Mapping[str, ReadingType]) -> Iterator[FileRecord]:
    number = 0
    only = next(iter(types.values())) if len(set(types.values())) == 1 else ReadingType()
    for entry in _entries(opened):
        own, _ = _links(entry)
        reading = own.partition("/IntervalBlock")[0]
        for block in _all(entry, "IntervalBlock"):
            for interval in _all(block, "IntervalReading"):
                number += 1
                record = _record(interval, types.get(reading, only), number)
                names = {"usage_point": reading.partition("/MeterReading")[0] or None, "meter_reading": reading or None}
                yield FileRecord(_json(names | record), number, opened.done)
    if not number:
        raise InputError("it has no IntervalReading: is this Green Button XML?")


def _record(interval: ElementTree.Element, kind: ReadingType, number: int) -> dict[str, Any]:
    texts = {_name(item): (item.text or "").strip() for item in interval.iter()}
    try:
        start, duration = int(texts["start"]), int(texts.get("duration") or 0) or None
        value = Decimal(texts["value"]).scaleb(kind.power)
    except (KeyError, ValueError, InvalidOperation) as error:
        raise InputError(f"reading {number} has no start or no value that is a number ({error})") from None
    record = {"time": start, "duration": duration, "value": value, "unit": kind.unit, "flow": kind.flow}
    return record | {name: texts[name] for name in ("cost", "quality") if texts.get(name)}


def _json(record: Mapping[str, Any]) -> bytes:
    """A record in JSON; a decimal as the number that was sent, digit by digit."""
    value: Decimal = record["value"]
    return msgspec.json.encode({**record, "value": msgspec.Raw(f"{value:f}".encode())})


def _links(entry: ElementTree.Element) -> tuple[str, list[str]]:
    """The address of an entry, and those it names as related."""
    links = [(item.get("rel"), item.get("href") or "") for item in entry if _name(item) == "link"]
    own = [href for rel, href in links if rel == "self"]
    return (own or [""])[0], [href for rel, href in links if rel == "related"]


def _child(entry: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next(iter(_all(entry, name)), None)


def _all(node: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [item for item in node.iter() if _name(item) == name]


def _name(element: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]
