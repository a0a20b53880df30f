"""Judges an answer: it has records where the feed declares them, or an error, or no records, or it is unusable.

Bytes are read with the code of the mill (`decode/`), so that poller and mill agree on what can be read: both accept a
byte order mark, and an invalid record among valid ones. The mill validates the single records; this file decides
whether there are records, and if not, whether the answer says that there are none.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tidemill.decode.cut import WHITE, Cut, cut_document, cut_lines
from tidemill.decode.decoder import DEEPEST
from tidemill.decode.documents import strip_body
from tidemill.decode.envelope import unwrap
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.lines import is_object, looks_like_lines
from tidemill.decode.plugin import as_json
from tidemill.decode.scan import BOM
from tidemill.decode.strict_json import NotJson, parse_json
from tidemill.decode.table_json import TableForm
from tidemill.feeds.formats import JSON_FORMATS, LAYOUT_FORMATS, TABLE_FORMATS, plugin_decoders
from tidemill.feeds.paths import ABSENT, Path, path_text, value_at_path
from tidemill.feeds.source import SourceNothing
from tidemill.sources.column_answers import column_records, columns_fault

_CONTENT_TYPES: Final = {"json": "application/json", "ndjson": "application/x-ndjson"}
_JSON: Final = frozenset(JSON_FORMATS)
_UNREADABLE: Final = frozenset(
    {"invalid_json", "invalid_utf8", "too_deep", "empty_body"}
)  # faults of bytes that are not JSON
_LINES: Final = 1000  # at most so many lines or records are examined
_EXCERPT_BYTES: Final = 160  # bytes of an answer that a message shows
_NO_ERROR: Final[tuple[Any, ...]] = (..., None, False, "", 0, [], {})  # values at `error_path` that are no error
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])


class ExpectedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed declares of an answer. `records` is the path of the records, or if `columnar` of the object of their
    arrays. `needed` are the required members of a record, `members` all of them (empty: any member may be a field),
    `identity` its time and tags; `layout` is the size of a binary header and of a record. The rest is of [source]."""

    formats: tuple[str, ...] = JSON_FORMATS
    records: Path = ()
    columnar: bool = False
    needed: tuple[Path, ...] = ()
    members: tuple[Path, ...] = ()
    identity: tuple[Path, ...] = ()
    layout: tuple[int, int] | None = None
    error: Path | None = None
    nothing: tuple[tuple[Path, SourceNothing], ...] = ()


class AnswerVerdict(msgspec.Struct, frozen=True):
    """The verdict on an answer. `content_type` None: garbage, in none of the feed's formats. `records` None: not
    countable. `why`: a sentence that says why it is garbage, or does not hold the declared records; else ""."""

    content_type: str | None
    records: int | None = None
    why: str = ""


def judge_answer(body: bytes, claimed: str, expected: ExpectedAnswer, max_depth: int) -> AnswerVerdict:
    """The verdict on the bytes of an answer. `claimed` is the server's content type, which is ignored for JSON: many
    servers send JSON as text/plain or text/html."""
    if set(expected.formats) <= _JSON:
        return _judge_json(body, expected, max_depth)
    form = answer_format(body, claimed, expected.formats)
    if form in LAYOUT_FORMATS and expected.layout is not None:
        return _judge_layout(body, form, claimed, expected.layout)
    if form in JSON_FORMATS:
        return _judge_json(body, expected, max_depth)
    try:
        if form in plugin_decoders() or form in TABLE_FORMATS:
            as_json(form, body, TableForm())
    except ValueError as error:
        return AnswerVerdict(None, why=f"it is not {form}: {error}")
    return trusted_verdict(claimed)


def trusted_verdict(claimed: str) -> AnswerVerdict:
    """The verdict on bytes that are taken as what they are claimed to be."""
    return AnswerVerdict(claimed or "application/octet-stream")


def is_plugin_format(body: bytes, claimed: str, formats: tuple[str, ...]) -> bool:
    """Whether the bytes are to be decoded by a plug-in."""
    return answer_format(body, claimed, formats) in plugin_decoders()


def answer_format(body: bytes, claimed: str, formats: tuple[str, ...]) -> str:
    """The format of an answer, one of `formats`: by the claimed content type, unless the answer is JSON."""
    others = [name for name in formats if name not in JSON_FORMATS]
    taken = [name for name in formats if name in JSON_FORMATS]
    kind = claimed.partition(";")[0].strip().lower()
    named = [name for name in others if name in plugin_decoders() and kind in plugin_decoders()[name].media_types]
    if named or not taken:
        return next(iter(named or others))
    if others and not _is_json(body, taken):
        return others[0]
    return "ndjson" if "ndjson" in taken and ("json" not in taken or _line_count(body) is not None) else "json"


def value_at(body: bytes, path: Path) -> Any:
    """The decoded value at a path of a JSON document; `...` if there is none."""
    raw: bytes | msgspec.Raw = strip_body(body)
    try:
        return msgspec.json.decode(raw_at(raw, path))
    except LookupError:
        return ...
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # also for one NaN somewhere else in it
        value = parse_json(strip_body(body), "$", DEEPEST, FaultCollector())
    value = value_at_path(value, path)
    return ... if value is ABSENT or isinstance(value, NotJson) else value


def raw_at(raw: bytes | msgspec.Raw, path: Path) -> bytes | msgspec.Raw:
    """The JSON text at a path of keys and items. Raises LookupError where there is none, and what msgspec raises."""
    for step in path:
        raw = _array.decode(raw)[step] if isinstance(step, int) else _object.decode(raw)[str(step)]
    return raw


def cut_records(body: bytes, content_type: str | None, expected: ExpectedAnswer, max_depth: int) -> list[bytes]:
    """The records of an answer as bytes, behind the keys under which they stand; [] if there are none or the answer is
    not JSON."""
    body, records = body.removeprefix(BOM), expected.records
    if content_type == _CONTENT_TYPES["ndjson"]:
        cut: Cut | None = cut_lines(body)
    else:
        cut = (
            cut_document(body, records, max_depth, FaultCollector()) if content_type == _CONTENT_TYPES["json"] else None
        )
    if cut is None:
        return []
    pieces = cut.pieces(body, 0, len(cut))
    if expected.columnar:
        return [record for piece in pieces for record in column_records(piece, max_depth)]
    return pieces if cut.nest is None else [cut.nest.keys(body, n) + piece for n, piece in enumerate(pieces)]


def _judge_json(body: bytes, expected: ExpectedAnswer, max_depth: int) -> AnswerVerdict:
    body = body.removeprefix(BOM)
    formats = expected.formats
    lines = _line_count(body) if "ndjson" in formats else None
    if lines is not None or (not body.strip(WHITE) and "ndjson" in formats):
        return AnswerVerdict(_CONTENT_TYPES["ndjson"], lines or 0)
    if "json" not in formats:
        single = "ndjson" in formats and is_object(body.strip(WHITE))
        if not single:
            return AnswerVerdict(None, why="no line of it is a JSON object")
        return _judge_single_record(body, AnswerVerdict(_CONTENT_TYPES["ndjson"], 1), expected, max_depth)
    faults = FaultCollector()
    cut = cut_document(body, expected.records, max_depth, faults)
    if expected.columnar:
        faults = faults.reworded("an array of records", "an object of arrays")
    if cut is None and _UNREADABLE.intersection(faults.codes()):
        return AnswerVerdict(None, why=faults.detail())
    if cut is not None and not cut.listed and _is_unreadable(cut.pieces(body, 0, 1)[0], max_depth, faults):
        return AnswerVerdict(None, why=faults.detail())
    return _judge_document(body, cut, faults, expected, max_depth)


def _judge_document(
    body: bytes, cut: Cut | None, faults: FaultCollector, expected: ExpectedAnswer, max_depth: int
) -> AnswerVerdict:
    """The verdict on a JSON document: by the signs of no data, the error, and the records in it, in this order."""
    json, some = _CONTENT_TYPES["json"], cut is not None and cut.listed and len(cut) > 0
    columns = _judge_columns(body, cut, expected, max_depth) if expected.columnar and cut is not None else None
    some = bool(columns.records) if columns is not None else some
    if not some and any(_is_nothing(body, path, sign) for path, sign in expected.nothing):
        return AnswerVerdict(json, 0)
    error = ... if expected.error is None else value_at(body, expected.error)
    if expected.error is not None and error not in _NO_ERROR:
        why = f"it has an error at {path_text(expected.error)}: {_excerpt(msgspec.json.encode(error))}"
        return AnswerVerdict(json, why=why)
    if cut is None:
        return AnswerVerdict(json, why=f"{faults.detail()}; the answer is {_excerpt(body)}")
    if columns is not None:
        return columns
    if not cut.listed:
        return _judge_single_record(cut.pieces(body, 0, 1)[0], AnswerVerdict(json, 1), expected, max_depth)
    if some and expected.members and not any(_has_any_member(piece, expected) for piece in _first_records(cut, body)):
        return AnswerVerdict(
            json, why=f"no record of it has a member that the feed reads; the first is {_excerpt(body)}"
        )
    return AnswerVerdict(json, len(cut))


def _judge_columns(body: bytes, cut: Cut, expected: ExpectedAnswer, max_depth: int) -> AnswerVerdict:
    """The verdict on a JSON document that holds an object of arrays."""
    piece = b"[]" if cut.listed else cut.pieces(body, 0, 1)[0]
    found = columns_fault(piece, path_text(expected.records), expected.needed, expected.members, max_depth)
    if isinstance(found, int):
        return AnswerVerdict(_CONTENT_TYPES["json"], found)
    return AnswerVerdict(_CONTENT_TYPES["json"], why=f"{found}; the answer is {_excerpt(body)}")


def _judge_single_record(piece: bytes, good: AnswerVerdict, expected: ExpectedAnswer, max_depth: int) -> AnswerVerdict:
    """The verdict on a single value in place of a list of records: `good` if it has every required member of a
    record."""
    value = parse_json(piece, "$", max_depth, FaultCollector())
    where = path_text(expected.records)
    if not isinstance(value, dict) and not (() in expected.members and _has_member(value, ())):
        return msgspec.structs.replace(good, records=None, why=f"{where} holds no record; it is {_excerpt(piece)}")
    lacking = [path for path in expected.needed if not _has_member(value, path)]
    if lacking:
        why = f"{where} is no record: it has no {path_text(lacking[0])}; it is {_excerpt(piece)}"
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


def _line_count(body: bytes) -> int | None:
    """The number of records of NDJSON; None for other bytes."""
    return len(cut_lines(body.removeprefix(BOM))) if looks_like_lines(body) else None


def _is_json(body: bytes, taken: list[str]) -> bool:
    """Whether the answer is JSON or NDJSON, for a feed that takes other formats as well."""
    try:
        msgspec.json.decode(strip_body(body), type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "ndjson" in taken and _line_count(body) is not None
    return True


def _is_unreadable(piece: bytes, max_depth: int, faults: FaultCollector) -> bool:
    """Whether a text is no JSON value; if so, a fault is added to `faults`."""
    return parse_json(piece, "$", max_depth, faults) is None and bool(faults.count)


def _first_records(cut: Cut, body: bytes) -> Iterator[bytes]:
    yield from cut.pieces(body, 0, min(len(cut), _LINES))


def _has_any_member(piece: bytes, expected: ExpectedAnswer) -> bool:
    """Whether a record has a member that the feed reads. True for a record that cannot be parsed: the mill rejects
    it."""
    try:
        record = msgspec.json.decode(piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return isinstance(record, list) or any(_has_member(record, path) for path in expected.members)


def _has_member(record: Any, path: Path) -> bool:
    """Whether a record has a member. A record that is read as a value is one if it is a number, in quotes or not: a
    sentence is no record but a message."""
    if not path:
        return isinstance(record, int | float) or (isinstance(record, str) and _NUMBER.match(record) is not None)
    return value_at_path(record, path) is not ABSENT


def _is_nothing(body: bytes, path: Path, sign: SourceNothing) -> bool:
    value = value_at(body, path)
    if sign.absent:
        return value is ... or value is None
    return type(value) is type(sign.equals) and value == sign.equals


def _excerpt(body: bytes) -> str:
    """The beginning of an answer as one line, for a message."""
    text = " ".join(body[: 4 * _EXCERPT_BYTES].decode("utf-8", "replace").split())
    return text if len(text) <= _EXCERPT_BYTES else f"{text[:_EXCERPT_BYTES]}..."
