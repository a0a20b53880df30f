"""Hypothesis strategies: JSON texts as bytes, close to what a feed takes, with everything JSON lets one do wrong."""

import base64
from collections.abc import Callable
from datetime import datetime

from hypothesis import strategies as st

odd_literals = st.sampled_from(
    [
        b"null",
        b"true",
        b"false",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1e-999",
        b"-0",
        b"-0.0",
        b"0",
        b"[]",
        b"{}",
        b"9223372036854775808",
        b"18446744073709551616",
        b"-9223372036854775809",
        b"1" * 400,
        b"9" * 5000,
        b"1.5e300",
        b'""',
        b'"x"',
        b'"\\u0000"',
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\xff"',
        b'"\x00"',
        b'"\\n"',
        b'"\x7f"',
        b'"a:b"',
        b'"lat"',
        b'":"',
        b"01",
        b"1.",
        b"tru",
        b"[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]",
        b'"\\"',
        b'"\\\\"',
        b"'x'",
    ]
)
numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: repr(x).encode())
positive = st.floats(0, 1e308).map(lambda x: repr(x).encode()) | st.integers(0, 2**70).map(lambda x: b"%d" % x)
beyond = st.floats(-200, 200).map(lambda x: repr(x).encode())
small = st.floats(-90, 90).map(lambda x: repr(x).encode()) | st.integers(-90, 90).map(lambda x: b"%d" % x)
odd_literals = odd_literals | beyond
texts = st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32), min_size=1, max_size=8).map(
    lambda text: b'"' + text.encode() + b'"'
)
good_times = st.datetimes(datetime(1901, 1, 1), datetime(2261, 1, 1)).map(
    lambda time: time.isoformat(" " if time.microsecond % 2 else "T")
)
endings = st.sampled_from(["", "Z", "+01:00", "-23:59", "-00:00", "+24:00", ".5Z", ".123456789123Z", "z", " "])
sure = st.builds(lambda time, ending: f'"{time}{ending}"'.encode(), good_times, st.sampled_from(["Z", "+01:00", "z"]))
times = st.builds(lambda time, ending: f'"{time}{ending}"'.encode(), good_times, endings) | st.sampled_from(
    [
        b'"2017-01-01T24:00:00Z"',
        b'"2016-12-31T23:59:60Z"',
        b'"0000-01-01T00:00:00Z"',
        b'"10000-01-01T00:00:00Z"',
        b'"2024-02-29T00:00:00Z"',
        b'"2023-02-29T00:00:00Z"',
        b'"1899-12-31T23:59:59Z"',
        b'"2262-04-11T23:47:16.9Z"',
        b'"2017-01-01 13:05:12"',
        b'"\\u0032017-01-01 13:05:12"',
        b'"2017-01-01t13:05:12.5Z"',
    ]
)
times = st.sampled_from([sure] * 12 + [times]).flatmap(lambda chosen: chosen)
white = st.sampled_from([b"", b"", b"", b" ", b"\n", b"\t\r\n"])
keys = st.sampled_from([b'"lat"', b'"x"', b'"l\\u0061t"', b'"data"', b'"tags"', b'"\xc3\xa9"', b'"timestamp"'])


fates = st.sampled_from(["good"] * 60 + ["odd", "odd", "left out", "doubled"])


@st.composite
def objects(draw, members: dict[str, st.SearchStrategy[bytes]]) -> bytes:
    """An object of the members: mostly good, some left out, doubled, renamed or of another type."""
    pairs = []
    for key, value in members.items():
        fate = draw(fates)
        if fate != "left out":
            pairs.append((f'"{key}"'.encode(), draw(odd_literals if fate == "odd" else value)))
        if fate == "doubled":
            pairs.append((f'"{key}"'.encode(), draw(value)))
    for _ in range(draw(st.sampled_from([0] * 8 + [1, 2]))):
        pairs.append((draw(keys), draw(odd_literals | texts)))
    pairs = draw(st.permutations(pairs))
    gap = draw(white)
    return b"{" + (b"," + gap).join(key + gap + b":" + value for key, value in pairs) + b"}"


def documents(record: st.SearchStrategy[bytes], inside: str | None = None) -> st.SearchStrategy[bytes]:
    """One record, an array of them, or one of these inside a document; sometimes with something before or after."""
    arrays = st.lists(record, max_size=12).map(lambda items: b"[" + b",".join(items) + b"]")
    whole = record | arrays
    if inside is not None:
        whole |= arrays.map(lambda array: b'{"' + inside.encode() + b'":' + array + b"}")
    around = st.sampled_from([b""] * 40 + [b" ", b"\n", b"\xef\xbb\xbf", b"x", b"\x00"])
    return st.builds(lambda before, body, after: before + body + after, around, whole, around)


def lines(record: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """NDJSON, with blank lines, two records in a line and broken lines."""
    breaks = st.sampled_from([b"\n"] * 30 + [b"\r\n", b"\n\n", b"\n \n", b" ", b""])
    line = st.sampled_from([record] * 20 + [odd_literals]).flatmap(lambda chosen: chosen)
    return st.lists(st.tuples(line, breaks), max_size=20).map(lambda parts: b"".join(a + b for a, b in parts))


def octets(size: int, most: int = 1) -> st.SearchStrategy[bytes]:
    """The bytes of one number, or of some, as an array of integers."""
    return st.integers(1, most).flatmap(
        lambda count: st.lists(st.integers(0, 255), min_size=size * count, max_size=size * count).map(
            lambda items: repr(items).encode()
        )
    )


def written(size: int, encode: Callable[[bytes], bytes]) -> st.SearchStrategy[bytes]:
    """The bytes of one number as text; now and then too many or too few."""
    sizes = st.sampled_from([size] * 20 + [0, size - 1, size + 1])
    return sizes.flatmap(lambda n: st.binary(min_size=n, max_size=n)).map(lambda raw: b'"' + encode(raw) + b'"')


spelled = st.sampled_from(
    [b'"1 234,5"', b'" 5 "', b'"-,5e3"', b'"1,5"', b'"1.5"', b'"-"', b'"9007199254740993"', b'"1e999"']
)
spelled_units = st.sampled_from([b'"1.5 kWh"', b'"3600kJ"', b'"5"', b'"5 x"', b'"5 kW"', b'"2e3Wh"'])
RECORDS = {
    "packed": objects(
        {
            "at": st.integers(0, 2**33).map(lambda n: b"%d" % n),
            "short": octets(2) | written(2, base64.b64encode),
            "long": octets(8) | st.integers(0, 2**50).map(lambda n: repr(list(n.to_bytes(8, "big"))).encode()),
            "double": written(8, lambda raw: raw.hex().encode()) | written(8, lambda raw: raw.hex().upper().encode()),
            "scaled": numbers,
        }
    ),
    "waves": objects(
        {
            "at": st.integers(0, 2**33).map(lambda n: b"%d" % n),
            "wave": octets(2, 3) | written(4, base64.b64encode),
        }
    ),
    "location": objects(
        {"timestamp": times, "lat": small, "long": small, "accuracy": positive, "speed": positive, "user_id": texts}
    ),
    "dropzone": objects(
        {
            "time_stamp": times,
            "data": st.lists(numbers, min_size=1, max_size=5).map(lambda items: b"[" + b",".join(items) + b"]"),
        }
    ),
    "telemetry": objects(
        {
            "time": st.integers(0, 2**33).map(lambda n: b"%d" % n) | small,
            "value": st.lists(st.integers(0, 255), min_size=4, max_size=4).map(lambda n: repr(n).encode())
            | st.lists(st.integers(-1, 256), min_size=3, max_size=5).map(lambda n: repr(n).encode())
            | st.binary(min_size=4, max_size=4).map(base64.b64encode).map(lambda b: b'"' + b + b'"'),
            "tags": st.lists(texts, max_size=3).map(lambda items: b"[" + b",".join(items) + b"]"),
        }
    ),
    "meters": objects(
        {
            "measurement": texts,
            "timestamp": times,
            "tags": objects({"muid": texts, "quality": texts}),
            "0100011D00FF": numbers,
            "0100021D00FF": numbers | st.just(b"null"),
        }
    ),
    "spelled": objects(
        {
            "at": st.integers(0, 2**33).map(lambda n: b"%d" % n),
            "text": positive | spelled,
            "amount": positive | spelled_units,
            "switch": st.sampled_from([b"true", b"false", b'"on"', b'"OFF"', b"1", b"0.0", b'"?"']),
            "reading": objects({"value": numbers, "unit": st.sampled_from([b'"V"', b'"mV"', b'"A"', b'"x"'])}),
            "power": st.integers(-9, 9).map(lambda n: b"%d" % n) | beyond,
            "octets": written(10, base64.b64encode),
        }
    ),
    "plant": objects({"timestamp": times, "tags": texts, "x": texts, "data": numbers}),
}
