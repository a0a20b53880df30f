"""The bodies that cost most to read: some eighty shapes, each of any size, with the feed that takes them.

Shapes are deterministic: the same size gives the same bytes. `WORST[name](size_bytes)` is a `Worst` whose body has at
most `size_bytes` (small sizes: at least one record). `feed` is the text of a definition (always `on_fault = "reject"`,
so that the payload is taken and the mill reads it), named as the feed that the payload is to be sent to.
"""

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

_HEAD = """
name = "{name}"
[input]
formats = [{formats}]
on_fault = "reject"
{more}
"""
_RECORD = """
[time]
path = "$.time"
[tags.id]
path = "$.id"
[attributes.note]
path = "$.note"
[fields.value]
path = "$.value"
min = -1000
max = 1000
[labels]
path = "$.labels"
"""
_COUNTED = """
[time]
path = "$.time"
format = "unix_s"
[tags.id]
path = "$.id"
[fields.value]
path = "$.value"
"""
_REGISTERS = """
[time]
path = "$.time"
[tags.id]
path = "$.id"
[registers]
except_keys = ["time", "id"]
"""
_WAVES = """
[time]
path = "$.time"
[fields.wave]
path = "$.wave"
type = "{type}"
[shape]
kind = "summary"
"""
_GROUPS = """
[time]
path = "$.time"
[tags.id]
path = "$^.id"
[attributes.note]
path = "$^^.note"
[fields.value]
path = "$.value"
[labels]
path = "$^^.labels"
"""
_KEYED = """
[time]
path = "$^.time"
[tags.id]
path = "$~"
[fields.value]
path = "$[0]"
"""
_BINARY = """
[time]
at = 0
type = "uint32_be"
format = "unix_s"
[tags]
pump = { at = 4, type = "uint16_le" }
[fields]
level = { at = 8, type = "float64_le", max = 3000 }
"""
_JSON = '"json", "ndjson"'


def _feed(name: str, rest: str, formats: str = _JSON, more: str = "") -> str:
    return _HEAD.format(name=name, formats=formats, more=more) + rest


PLAIN = _feed("worst_plain", _RECORD)
LISTED = _feed("worst_listed", _RECORD, more='records = "$.data.items"')
COUNTED = _feed("worst_counted", _COUNTED)
REGISTERS = _feed("worst_registers", _REGISTERS)
WAVES = _feed("worst_waves", _WAVES.format(type="numbers"))
PACKED = _feed("worst_packed", _WAVES.format(type="int16_le[]"))
SERIES = _feed("worst_series", '[shape]\nkind = "samples"\n', '"json"')
BINARY = _feed("worst_binary", _BINARY, '"binary"', "layout = { record_bytes = 16 }")
GROUPS = _feed("worst_groups", _GROUPS, more='records = "$.groups[*].items"')
KEYED = _feed("worst_keyed", _KEYED, more='records = "$.data.*"')
FEEDS = (PLAIN, LISTED, COUNTED, REGISTERS, WAVES, PACKED, SERIES, BINARY, GROUPS, KEYED)

GOOD = b'{"id":"a","time":"2024-01-01T00:00:00Z","value":1.5}'


class Worst(NamedTuple):
    """A body, its format, and the definition of the feed that takes it."""

    feed: str
    format: str
    body: bytes

    @property
    def name(self) -> str:
        """The name of the feed."""
        return self.feed.split('"')[1]


def _repeated(feed: str, record: bytes, *, start: bytes = b"[", end: bytes = b"]") -> Callable[[int], Worst]:
    """As many equal records as fit into the size, between `start` and `end`."""

    def build(size_bytes: int) -> Worst:
        count = max(1, (size_bytes - len(start) - len(end) + 1) // (len(record) + 1))
        return Worst(feed, "json", b"".join((start, b",".join([record] * count), end)))

    return build


def _lines(feed: str, record: bytes) -> Callable[[int], Worst]:
    def build(size_bytes: int) -> Worst:
        return Worst(feed, "ndjson", b"\n".join([record] * max(1, size_bytes // (len(record) + 1))))

    return build


def _filled(
    feed: str, start: bytes, piece: bytes, end: bytes, *, last: bytes = b"", format: str = "json"
) -> Callable[[int], Worst]:
    """`start`, as many pieces as fit, the last piece without its last `len(last)` bytes, `end`."""

    def build(size_bytes: int) -> Worst:
        count = max(1, (size_bytes - len(start) - len(end)) // len(piece))
        return Worst(feed, format, start + (piece * count).removesuffix(last) + end)

    return build


def _numbered(
    feed: str, start: bytes, piece: Callable[[int], bytes], end: bytes, *, between: bytes = b","
) -> Callable[[int], Worst]:
    """Pieces that differ from each other, as many as fit."""

    def build(size_bytes: int) -> Worst:
        return Worst(feed, "json", b"".join((start, between.join(_until(size_bytes - len(start), piece)), end)))

    return build


def _until(size_bytes: int, piece: Callable[[int], bytes]) -> Iterable[bytes]:
    used, number = 0, 0
    while True:
        made = piece(number)
        used += len(made) + 1
        if used > size_bytes and number:
            return
        yield made
        number += 1


def _nested(feed: str, open_: bytes, close: bytes) -> Callable[[int], Worst]:
    def build(size_bytes: int) -> Worst:
        count = max(1, size_bytes // (len(open_) + len(close)))
        return Worst(feed, "json", open_ * count + close * count)

    return build


def _with(old: bytes, new: bytes) -> bytes:
    return GOOD.replace(old, new)


def _not_finite_binary(size_bytes: int) -> Worst:
    record = struct.pack(">I", 1_700_000_000) + struct.pack("<HHd", 7, 0, float("nan"))
    return Worst(BINARY, "binary", record * max(1, size_bytes // len(record)))


def _good_then_cut(size_bytes: int) -> Worst:
    """Good records, and in the middle of the last the document ends."""
    return Worst(PLAIN, "json", (b"[" + (GOOD + b",") * (size_bytes // (len(GOOD) + 1) + 1))[: max(20, size_bytes)])


_FEW = 8  # bytes of a record, so that 8 MiB of them are not more than a payload may hold
_IN = b'{"meta":{"data":[1]},"data":{"count":1,"items":['
_SERIES = b'{"name":"a","interval":"1s","values":['

WORST: dict[str, Callable[[int], Worst]] = {
    # Cutting: what msgspec refuses in an array, and what makes the place of records uncertain.
    "nan_values": _repeated(PLAIN, _with(b"1.5", b"NaN")),
    "nan_minimal": _repeated(PLAIN, b"NaN".rjust(_FEW)),
    "infinity_at_the_end": _repeated(PLAIN, b"{}", end=b",-Infinity]"),
    "lone_surrogates": _repeated(PLAIN, _with(b'"a"', b'"\\ud800"')),
    "backslash_beside_the_records": _repeated(LISTED, b"{}".rjust(_FEW), start=_IN, end=b']},"note":"a\\/b"}'),
    "escaped_keys_on_the_way": _repeated(LISTED, b"0".rjust(_FEW), start=b'{"d\\u0061ta":{"it\\u0065ms":[', end=b"]}}"),
    "nan_beside_the_records": _repeated(LISTED, GOOD, start=_IN, end=b']},"note":NaN}'),
    "records_key_in_texts": _repeated(LISTED, b'{"data":{"items":"[\\"items\\":["}}', start=_IN, end=b"]}}"),
    "control_character_in_a_text": _repeated(PLAIN, b'{"id":"\t"}'),
    "bom_and_nan": _repeated(PLAIN, _with(b"1.5", b"NaN"), start=b"\xef\xbb\xbf [\n"),
    # Not JSON from some point on.
    "cut_off": _good_then_cut,
    "no_json_in_the_middle": _repeated(PLAIN, b"{}", end=b",nul,{}]"),
    "invalid_utf8_at_the_end": _repeated(PLAIN, b"{}", end=b',"\xff"]'),
    "unclosed_text": _filled(PLAIN, b'["', b"\\\\", b""),
    "open_brackets_in_a_text": _filled(PLAIN, b'[{"id":"', b"[{", b'"}]'),
    # Every record at fault.
    "empty_objects": _repeated(PLAIN, b"{}".rjust(_FEW)),
    "zeros": _repeated(PLAIN, b"0"),
    "zeros_within_the_limit": _repeated(PLAIN, b"0".rjust(_FEW)),
    "empty_arrays": _repeated(PLAIN, b"[]"),
    "arrays_in_arrays": _repeated(PLAIN, b"[[[[[[1],[1]]]]]]"),
    "out_of_range": _repeated(PLAIN, _with(b"1.5", b"1e9")),
    "wrong_types": _repeated(PLAIN, b'{"id":1,"time":2,"value":"x","note":3,"labels":4}'),
    "many_faults_a_record": _repeated(PLAIN, b'{"labels":[' + b",".join([b"0"] * 300) + b"]}"),
    "duplicate_keys": _repeated(PLAIN, _with(b'"value"', b'"value":1,"value"')),
    "control_characters": _repeated(PLAIN, _with(b'"a"', b'"\\u0001"')),
    "times_without_offset": _repeated(PLAIN, _with(b"00Z", b"00")),
    "times_out_of_range": _repeated(PLAIN, _with(b"2024", b"1800")),
    "long_invalid_times": _repeated(PLAIN, _with(b"00Z", b"00." + b"1" * 5000)),
    "epochs_of_thousands_of_digits": _repeated(COUNTED, b'{"id":"a","time":' + b"9" * 5000 + b',"value":1}'),
    "huge_numbers": _repeated(PLAIN, _with(b"1.5", b"9" * 5000)),
    "long_texts": _repeated(PLAIN, _with(b'"a"', b'"' + b"a" * 100_000 + b'"')),
    "long_wide_texts": _repeated(PLAIN, _with(b'"a"', b'"' + "ü\U0001f600".encode() * 10_000 + b'"')),
    # No record at fault, and no record that the fast reader is certain of.
    "good_with_escapes": _repeated(PLAIN, _with(b'"a"', b'"\\u0061"')),
    "good_with_escaped_keys": _repeated(PLAIN, _with(b'"id"', b'"\\u0069d"')),
    "good_with_a_key_twice_below": _repeated(PLAIN, GOOD[:-1] + b',"more":{"id":1,"id":2}}'),
    # One record that is all of the payload.
    "text_of_the_payload": _filled(PLAIN, b'[{"id":"', b"a", b'"}]'),
    "escapes_of_the_payload": _filled(PLAIN, b'[{"id":"', b"\\u0061", b'"}]'),
    "million_keys": _numbered(PLAIN, b"{", lambda n: b'"%x":0' % n, b"}"),
    "million_equal_keys": _repeated(PLAIN, b'"value":1', start=b"{", end=b"}"),
    "million_keys_twice": _numbered(REGISTERS, b'{"id":"a",', lambda n: b'"%x":0' % (n // 2), b"}"),
    "million_objects": _repeated(PLAIN, b"{}", start=b'[{"more":[', end=b"]}]"),
    "million_arrays": _repeated(PLAIN, b"[]", start=b'[{"more":[', end=b"]}]"),
    "million_objects_without_an_array": _repeated(PLAIN, b"{}", start=b'{"more":[', end=b"]}"),
    "time_of_the_payload": _filled(PLAIN, b'{"id":"a","value":1,"time":"2024-01-01T00:00:00.', b"1", b'Z"}'),
    "no_time_of_the_payload": _filled(PLAIN, b'{"id":"a","value":1,"time":"', b"1", b'"}'),
    "epoch_of_the_payload": _filled(COUNTED, b'{"id":"a","value":1,"time":', b"1", b"}"),
    "number_of_the_payload": _filled(COUNTED, b'{"id":"a","time":1,"value":', b"1", b"}"),
    "fraction_of_the_payload": _filled(COUNTED, b'{"id":"a","value":1,"time":1.', b"1", b"}"),
    "million_labels": _repeated(PLAIN, b"0", start=b'[{"labels":[', end=b"]}]"),
    "million_nan": _repeated(PLAIN, b"NaN", start=b'[{"more":[', end=b"]}]"),
    "million_nan_members": _numbered(PLAIN, b"[{", lambda n: b'"%x":NaN' % n, b"}]"),
    # Deep.
    "deep": _filled(PLAIN, b"", b"[", b""),
    "deep_and_closed": _nested(PLAIN, b"[", b"]"),
    "deep_objects": _nested(PLAIN, b'{"a":', b"}"),
    "deep_beside_good": lambda size: Worst(
        PLAIN, "json", b"[" + _nested(PLAIN, b"[", b"]")(size // 2).body + b"," + (GOOD + b",") * (size // 120) + b"0]"
    ),
    "deep_records": _repeated(PLAIN, b"[" * 40 + b"]" * 40),
    # Registers, arrays of numbers, packed numbers.
    "registers_of_their_own": _numbered(
        REGISTERS, b"[", lambda n: b'{"id":"a","time":"2024-01-01T00:00:00Z","r%x":1}' % n, b"]"
    ),
    "registers_that_are_texts": _numbered(REGISTERS, b"[{", lambda n: b'"%x":""' % n, b"}]"),
    "wave_of_texts": _repeated(WAVES, b'""', start=b'[{"time":"2024-01-01T00:00:00Z","wave":[', end=b"]}]"),
    "packed_out_of_range": _repeated(PACKED, b"256", start=b'[{"time":"2024-01-01T00:00:00Z","wave":[', end=b"]}]"),
    # Groups, keys, and what is above them.
    "groups_without_records": _repeated(GROUPS, b'{"items":[]}', start=b'{"groups":[', end=b"]}"),
    "groups_that_are_no_objects": _repeated(GROUPS, b"0".rjust(_FEW), start=b'{"groups":[', end=b"]}"),
    "groups_with_nan": _repeated(GROUPS, b'{"more":NaN,"items":[0]}', start=b'{"groups":[', end=b"]}"),
    "groups_at_fault": _repeated(GROUPS, b'{"items":[{},{}],"id":7}', start=b'{"groups":[', end=b"]}"),
    "labels_above_many_records": _repeated(
        GROUPS, b"0", start=b'{"groups":[{"items":[%b]}],"labels":[' % b",".join([b"{}"] * 5000), end=b"]}"
    ),
    "a_long_text_above_many_records": _filled(
        GROUPS, b'{"groups":[{"items":[%b]}],"note":"' % b",".join([b"{}"] * 5000), b"a", b'"}'
    ),
    "million_records_under_keys": _numbered(
        KEYED, b'{"time":"2024-01-01T00:00:00Z","data":{', lambda n: b'"%x":[]' % n, b"}}"
    ),
    "million_equal_keys_of_records": _repeated(KEYED, b'"":[1]  ', start=b'{"data":{', end=b"}}"),
    # Lines.
    "lines_of_brackets": _lines(PLAIN, b"{".ljust(_FEW)),
    "lines_of_nothing_json": _lines(PLAIN, b"{'id': 1}"),
    "lines_of_nan": _lines(PLAIN, _with(b"1.5", b"NaN")),
    "lines_cut_off": _lines(PLAIN, GOOD[:-1]),
    "lines_of_invalid_utf8": _lines(PLAIN, b'{"id":"\xff"}'),
    "lines_good_and_bad": _lines(PLAIN, b"\n".join([GOOD] * 7 + [b"{}"])),
    # Series of samples, binary records.
    "series_of_many_tags": _numbered(
        SERIES, b'{"name":"a","interval":"1s","values":[1],"tags":{', lambda n: b'"t%x":"v"' % n, b"}}"
    ),
    "series_of_bad_tags": _numbered(
        SERIES, b'{"name":"a","interval":"1s","values":[1],"tags":{', lambda n: b'"t%x":NaN' % n, b"}}"
    ),
    "series_of_a_long_interval": _filled(SERIES, b'{"name":"a","values":[1,2],"interval":"', b"1", b's"}'),
    "series_of_a_long_start": _filled(
        SERIES, b'{"values":[1],"interval":"1s","start":"2024-01-01T00:00:00.', b"1", b'Z"}'
    ),
    "series_of_a_long_rate": _filled(SERIES, b'{"name":"a","values":[1,2],"sample_rate_hz":1.', b"1", b"}"),
    "series_of_keys_called_values": _filled(SERIES, b"{", b'"values":', b"1}"),
    "series_of_nan": _repeated(SERIES, b"NaN", start=_SERIES, end=b"]}"),
    "series_of_texts": _repeated(SERIES, b'""', start=_SERIES, end=b"]}"),
    "series_of_one_time": lambda size: Worst(
        SERIES,
        "json",
        b'{"name":"a","time_unit":"s","values":[%b],"times":[%b]}'
        % (b",".join([b"1"] * max(1, size // 4 - 40)), b",".join([b"1"] * max(1, size // 4 - 40))),
    ),
    "series_of_bad_times": lambda size: Worst(
        SERIES,
        "json",
        b'{"name":"a","values":[%b],"times":[%b]}'
        % (b",".join([b"1"] * max(1, size // 5 - 40)), b",".join([b'""'] * max(1, size // 5 - 40))),
    ),
    "binary_not_finite": _not_finite_binary,
}
