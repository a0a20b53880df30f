"""What an answer is: records where the feed declares them, an error, nothing, or no answer at all.

Bytes are read as the mill will read them (`decode/`), so that both agree on what can be read: a byte order mark or one
broken record among good ones hinders neither. Whether a single record is right is the mill's to judge and to account
for; here it is judged whether there are records, and where none are, whether that is what "nothing" looks like.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tidemill.decode.cut import WHITE, Cut, cut_document, cut_lines
from tidemill.decode.decoder import DEEPEST
from tidemill.decode.documents import strip_body
from tidemill.decode.envelope import unwrap
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.plugin import as_json
from tidemill.decode.scan import BOM
from tidemill.decode.strict_json import NotJson, parse_json
from tidemill.feeds.formats import JSON_FORMATS, LAYOUT_FORMATS, plugged
from tidemill.feeds.source import SourceNothing

Path = tuple[str, ...]

_CONTENT_TYPES: Final = {"json": "application/json", "ndjson": "application/x-ndjson"}
_JSON: Final = frozenset(JSON_FORMATS)
_UNREADABLE: Final = frozenset({"invalid_json", "invalid_utf8", "too_deep", "empty_body"})  # faults of what is no JSON
_LINES: Final = 1000  # lines and records that are looked at, at most
_SHOWN: Final = 160  # bytes of an answer that a sentence repeats
_ABSENT: Final = object()
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed declares of an answer. `needed` are the members that every record has, `members` all of them (empty:
    any member may be a field), `identity` its time and tags; `layout` is the size of a binary header and of a record.
    The rest is of [source]."""

    formats: tuple[str, ...] = JSON_FORMATS
    records: Path = ()
    needed: tuple[Path, ...] = ()
    members: tuple[Path, ...] = ()
    identity: tuple[Path, ...] = ()
    layout: tuple[int, int] | None = None
    error: Path | None = None
    nothing: tuple[tuple[Path, SourceNothing], ...] = ()


class AnswerVerdict(msgspec.Struct, frozen=True):
    """What an answer is. `content_type` None: none of the feed's formats, garbage. `records` None: not countable.
    `why`: the sentence that tells why it is garbage, or why it does not hold the declared records (unexpected)."""

    content_type: str | None
    records: int | None = None
    why: str = ""


def judge(body: bytes, claimed: str, expected: Expected, max_depth: int) -> AnswerVerdict:
    """What bytes are. For JSON what a server claims is not looked at: many say text/plain or text/html."""
    if set(expected.formats) <= _JSON:
        return _judge_json(body, expected, max_depth)
    form = format_of(body, claimed, expected.formats)
    if form in LAYOUT_FORMATS and expected.layout is not None:
        return _judge_layout(body, form, claimed, expected.layout)
    if form in JSON_FORMATS:
        return _judge_json(body, expected, max_depth)
    try:
        if form in plugged():
            as_json(form, body)
    except ValueError as error:
        return AnswerVerdict(None, why=f"it is not {form}: {error}")
    return AnswerVerdict(claimed or "application/octet-stream")


def format_of(body: bytes, claimed: str, formats: tuple[str, ...]) -> str:
    """The format of an answer to a feed that takes these: what is no JSON goes by the content type that was claimed."""
    others = [name for name in formats if name not in JSON_FORMATS]
    taken = [name for name in formats if name in JSON_FORMATS]
    kind = claimed.partition(";")[0].strip().lower()
    named = [name for name in others if name in plugged() and kind in plugged()[name].media_types]
    if named or not taken:
        return next(iter(named or others))
    if others and not _as_json(body, taken):
        return others[0]
    return "ndjson" if "ndjson" in taken and ("json" not in taken or _lines(body) is not None) else "json"


def value_at(body: bytes, path: Path) -> Any:
    """The value at a path of a JSON document, decoded; `...` where there is none."""
    raw: bytes | msgspec.Raw = strip_body(body)
    try:
        for name in path:
            raw = _object.decode(raw)[name]
        return msgspec.json.decode(raw)
    except KeyError:
        return ...
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # also for one NaN somewhere else in it
        value = parse_json(strip_body(body), "$", DEEPEST, FaultCollector())
    for name in path:
        value = value.get(name, ...) if isinstance(value, dict) else ...
    return ... if isinstance(value, NotJson) else value


def cut_answer(body: bytes, content_type: str | None, records: Path, max_depth: int) -> list[bytes]:
    """The records of an answer as bytes; [] where there are none or where it is no JSON."""
    body = body.removeprefix(BOM)
    if content_type == _CONTENT_TYPES["ndjson"]:
        cut: Cut | None = cut_lines(body)
    else:
        cut = (
            cut_document(body, records, max_depth, FaultCollector()) if content_type == _CONTENT_TYPES["json"] else None
        )
    return [] if cut is None else cut.pieces(body, 0, len(cut))


def _judge_json(body: bytes, expected: Expected, max_depth: int) -> AnswerVerdict:
    body = body.removeprefix(BOM)
    formats = expected.formats
    lines = _lines(body) if "ndjson" in formats else None
    if lines is not None or (not body.strip(WHITE) and "ndjson" in formats):
        return AnswerVerdict(_CONTENT_TYPES["ndjson"], lines or 0)
    if "json" not in formats:
        single = "ndjson" in formats and _is_object(body)
        if not single:
            return AnswerVerdict(None, why="no line of it is a JSON object")
        return _lone(body, AnswerVerdict(_CONTENT_TYPES["ndjson"], 1), expected, max_depth)
    faults = FaultCollector()
    cut = cut_document(body, expected.records, max_depth, faults)
    if cut is None and _UNREADABLE.intersection(faults.codes()):
        return AnswerVerdict(None, why=faults.detail())
    if cut is not None and not cut.listed and _unreadable(cut.pieces(body, 0, 1)[0], max_depth, faults):
        return AnswerVerdict(None, why=faults.detail())
    return _judge_document(body, cut, faults, expected, max_depth)


def _judge_document(
    body: bytes, cut: Cut | None, faults: FaultCollector, expected: Expected, max_depth: int
) -> AnswerVerdict:
    """What a JSON document is, by where its records, an error and the signs of nothing stand in it."""
    json, some = _CONTENT_TYPES["json"], cut is not None and cut.listed and len(cut) > 0
    if not some and any(_is_nothing(body, path, sign) for path, sign in expected.nothing):
        return AnswerVerdict(json, 0)
    if expected.error is not None and (error := value_at(body, expected.error)) not in (
        ...,
        None,
        False,
        "",
        0,
        [],
        {},
    ):
        return AnswerVerdict(
            json, why=f"it has an error at {_text(expected.error)}: {_shown(msgspec.json.encode(error))}"
        )
    if cut is None:
        return AnswerVerdict(json, why=f"{faults.detail()}; the answer is {_shown(body)}")
    if not cut.listed:
        return _lone(cut.pieces(body, 0, 1)[0], AnswerVerdict(json, 1), expected, max_depth)
    if some and expected.members and not any(_has_some(piece, expected) for piece in _first(cut, body)):
        return AnswerVerdict(json, why=f"no record of it has a member that the feed reads; the first is {_shown(body)}")
    return AnswerVerdict(json, len(cut))


def _lone(piece: bytes, good: AnswerVerdict, expected: Expected, max_depth: int) -> AnswerVerdict:
    """What stands alone where a list of records may be: a record if it has all that a record must have."""
    value = parse_json(piece, "$", max_depth, FaultCollector())
    where = _text(expected.records)
    if not isinstance(value, dict):
        return msgspec.structs.replace(good, records=None, why=f"{where} holds no record; it is {_shown(piece)}")
    lacking = [path for path in expected.needed if not _has(value, path)]
    if lacking:
        why = f"{where} is no record: it has no {_text(lacking[0])}; it is {_shown(piece)}"
        return msgspec.structs.replace(good, records=None, why=why)
    return good


def _judge_layout(body: bytes, form: str, claimed: str, layout: tuple[int, int]) -> AnswerVerdict:
    header, record = layout
    try:
        size = len(unwrap(body, form))
    except ValueError as error:
        return AnswerVerdict(None, why=str(error))
    if size == 0:
        return AnswerVerdict(claimed or "application/octet-stream", 0)
    if size < header or (size - header) % record:
        head = f"a header of {header} and " if header else ""
        return AnswerVerdict(None, why=f"it has {size} bytes, which is not {head}whole records of {record}")
    return AnswerVerdict(claimed or "application/octet-stream", (size - header) // record)


def _lines(body: bytes) -> int | None:
    """How many lines NDJSON has: several, of which most are objects of their own; None for anything else."""
    cut = cut_lines(body.removeprefix(BOM))
    if len(cut) < 2:
        return None
    looked = cut.pieces(body.removeprefix(BOM), 0, _LINES)
    objects = sum(_is_object(line) for line in looked)
    return len(cut) if objects and 2 * objects >= len(looked) else None


def _is_object(text: bytes) -> bool:
    """Whether a text is one JSON object, or one with NaN in it."""
    text = text.strip(WHITE)
    if text[:1] != b"{" or text[-1:] != b"}":
        return False
    try:
        _object.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return isinstance(parse_json(text, "$", DEEPEST, FaultCollector()), dict)
    return True


def _as_json(body: bytes, taken: list[str]) -> bool:
    """Whether a feed that takes other formats too gets JSON this time."""
    try:
        msgspec.json.decode(strip_body(body), type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "ndjson" in taken and _lines(body) is not None
    return True


def _unreadable(piece: bytes, max_depth: int, faults: FaultCollector) -> bool:
    """Whether a text is no JSON value; then with a fault."""
    return parse_json(piece, "$", max_depth, faults) is None and bool(faults.count)


def _first(cut: Cut, body: bytes) -> Iterator[bytes]:
    yield from cut.pieces(body, 0, min(len(cut), _LINES))


def _has_some(piece: bytes, expected: Expected) -> bool:
    """Whether a record has a member that the feed reads. What is no object, and what cannot be read, is the mill's."""
    try:
        record = msgspec.json.decode(piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if isinstance(record, dict):
        return any(_has(record, path) for path in expected.members)
    return isinstance(record, list)


def _has(record: Mapping[str, Any], path: Path) -> bool:
    value: Any = record
    for name in path:
        value = value.get(name, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value is not _ABSENT


def _is_nothing(body: bytes, path: Path, sign: SourceNothing) -> bool:
    value = value_at(body, path)
    if sign.absent:
        return value is ... or value is None
    return type(value) is type(sign.equals) and value == sign.equals


def _text(path: Path) -> str:
    return "$" + "".join(f".{name}" for name in path)


def _shown(body: bytes) -> str:
    """The beginning of an answer, for a sentence: one line."""
    text = " ".join(body[: 4 * _SHOWN].decode("utf-8", "replace").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
