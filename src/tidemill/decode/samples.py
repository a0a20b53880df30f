"""Reads a payload of shape `samples`: a JSON object with consecutive samples of one series.

Null values are missing samples; they become points without a value. The name is part of the identity, as the tag
`name`. As for records there is a fast reader (here) and a strict one (`strict_samples.py`).
"""

import re
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, Meta
from numpy.typing import NDArray

from tidemill.decode.cut import WHITE
from tidemill.decode.exactness import EXACT, holds_exactly
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.sample_times import ExactTimes, Members, SampleBody, sample_times
from tidemill.decode.scan import is_plain
from tidemill.feeds.definition import NotExact

MAX_SAMPLES: Final = 1_000_000  # of one request (contract 1)
MAX_TAGS: Final = 32
MAX_TEXT: Final = 1024  # characters of a description
MAX_NAME: Final = 256  # characters of a name, a unit, a tag's value

_OPENINGS: Final = {key: re.compile(rb'"%b"[ \t\r\n]*:[ \t\r\n]*\[' % key.encode()) for key in ("values", "times")}
# Bytes of values decoded in one call, during which no other thread runs. A million samples (10 MB) take 135 ms in such
# pieces, and other threads wait 8 ms at most; in one call both are 170 ms.
_PIECE: Final = 32 << 10


class Samples(msgspec.Struct, frozen=True):
    """A series as read. `times_ns` counts from the time of receipt where `from_receipt`, else they are UTC. `rounded`:
    the indexes of values that are not the integers that were sent, and are flagged."""

    tags: dict[str, str]
    name: str
    unit: str
    description: str
    values: NDArray[np.float64]
    times_ns: NDArray[np.int64]
    from_receipt: bool
    rounded: tuple[int, ...] = ()

    def times(self, received_ns: int) -> NDArray[np.int64]:
        """The times of the samples (ns UTC) of a series received at `received_ns`."""
        return self.times_ns + received_ns if self.from_receipt else self.times_ns


_FAILURES: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DECODER: Final = msgspec.json.Decoder(SampleBody)
_EXACT: Final = msgspec.json.Decoder(ExactTimes)
_SMALL: Final = msgspec.json.Decoder(list[Annotated[float, Meta(gt=-EXACT, lt=EXACT)] | None])
_LARGE: Final = msgspec.json.Decoder(list[int | float | None])
_VALUES: Final = msgspec.json.Decoder(list[float | None])
_KEYS: Final = tuple(f'"{field}"'.encode() for field in SampleBody.__struct_fields__)


def read_members_fast(body: bytes, max_depth: int, not_exact: NotExact = "reject") -> Members | None:
    """The members of a body that is certainly valid JSON of the right types, else None. Values that are integers beyond
    2^53 are certain where a double holds them, or `not_exact` is `round`."""
    short, values = _cut_array(body, "values")
    try:
        sample_body, column = _DECODER.decode(short), _column(values, not_exact)
    except _FAILURES:
        return None
    # The two long arrays hold nothing that needs to be scanned; the rest is short.
    rest, _ = _cut_array(short, "times")
    if column is None or sample_body.values or not is_plain(rest, max_depth):
        return None
    tags = sample_body.tags or {}
    present = [getattr(sample_body, field) is not UNSET for field in SampleBody.__struct_fields__]
    # As "values" occurs once, the array that was cut out is the value of this member and of no other.
    single = all(rest.count(key) == there for key, there in zip(_KEYS, present, strict=True))
    certain = single and len(tags) <= MAX_TAGS and all(rest.count(f'"{tag}"'.encode()) == 1 for tag in tags)
    exact = _EXACT.decode(short) if certain and sample_body.rounded else None
    return Members(sample_body, column=column, exact=exact) if certain else None


def _cut_array(body: bytes, key: str) -> tuple[bytes, bytes]:
    """(the body without the items of the first array that is the value of `key`, the bytes of these items)."""
    match = _OPENINGS[key].search(body)
    end = -1 if match is None else body.find(b"]", match.end())
    if match is None or end < 0:
        return body, b""
    return body[: match.end()] + body[end:], body[match.end() : end]


def _column(items: bytes, not_exact: NotExact) -> NDArray[np.float64] | None:
    """The items of an array of numbers and nulls, NaN for null. None or a DecodeError if they are anything else, or
    integers that are not certain."""
    if not items.strip(WHITE):
        return np.zeros(0)
    parts, start = [], 0
    while start <= len(items):
        comma = items.find(b",", start + _PIECE)
        end = len(items) if comma < 0 else comma
        piece = b"[%b]" % items[start:end]
        numbers = _VALUES.decode(piece) if not_exact == "round" else _exact_numbers(piece)
        if not numbers:  # nothing between two commas, or an integer that is not exact
            return None
        parts.append(np.array(numbers, np.float64))
        start = end + 1
    return np.concatenate(parts)


def _exact_numbers(piece: bytes) -> list[Any] | None:
    """The numbers of a JSON array, None for null; None instead of the list where an integer is not exact. Large numbers
    are decoded again, by their digits. Raises DecodeError for anything else."""
    try:
        return _SMALL.decode(piece)
    except msgspec.ValidationError:
        numbers = _LARGE.decode(piece)
    exact = all(type(number) is not int or holds_exactly(number) for number in numbers)
    return numbers if exact else None


def interpret_members(members: Members, received_ns: int, faults: FaultCollector) -> Samples | None:
    """The series that the members describe; None if `faults` has any, from before or from here."""
    body, count, column = members.body, members.count, members.column
    _check_texts(body, faults)
    if count == 0:
        faults.add("$.values", "empty", "must hold at least one value")
    elif count is not None and count > MAX_SAMPLES:
        message = f"{count} samples are more than the {MAX_SAMPLES} that one request may hold; send several requests"
        faults.add("$.values", "too_many_records", message)
    times = sample_times(members, received_ns, faults)
    if faults.count or times is None:
        return None
    name = body.name or ""
    tags = {**(body.tags or {}), **({"name": name} if name else {})}
    return Samples(
        tags=dict(sorted(tags.items())),
        name=name,
        unit=body.unit or "",
        description=body.description or "",
        values=np.array(body.values, np.float64) if column is None else column,
        times_ns=times,
        rounded=members.rounded,
        from_receipt=not body.times and (body.start is UNSET or body.start is None),
    )


def _check_texts(body: SampleBody, faults: FaultCollector) -> None:
    for name, longest in (("name", MAX_NAME), ("unit", MAX_NAME), ("description", MAX_TEXT)):
        text = getattr(body, name)
        if text and len(text) > longest:
            faults.add(f"$.{name}", "too_long", f"has {len(text)} characters, at most {longest} are allowed")
    if body.name == "":
        faults.add("$.name", "empty", "must not be empty; leave it out")
    tags = body.tags or {}
    if len(tags) > MAX_TAGS:
        faults.add("$.tags", "out_of_range", f"{len(tags)} tags are more than {MAX_TAGS}")
    for tag, text in tags.items():
        if not tag or not text:
            faults.add(f"$.tags.{tag}", "empty", "a tag and its value must not be empty")
        if len(tag) > MAX_NAME or len(text) > MAX_NAME:
            faults.add(f"$.tags.{tag}", "too_long", f"at most {MAX_NAME} characters are allowed")
    if "receipt" in tags:
        faults.add("$.tags.receipt", "conflict", "'receipt' marks series without name and tags; choose another tag")
    if body.name and tags.get("name", body.name) != body.name:
        faults.add("$.tags.name", "conflict", "contradicts $.name, which becomes the tag 'name'")
