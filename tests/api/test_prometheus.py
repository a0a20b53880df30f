"""Prometheus' remote write: samples of both versions become points, and what is broken is refused in bounded memory."""

import struct

import pytest

from tests.api.test_open_feeds import values
from tests.decode.test_open_lines import DECODER, decoded, faults, rows
from tests.support.api import Api
from tidemill.decode.snappy import unpack_block

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
V2 = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding": "snappy"}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    text = bytearray()
    while number > 127:
        text.append(number & 127 | 128)
        number >>= 7
    return bytes([*text, number])


def part(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(value: float, at_ms: int) -> bytes:
    return part(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at_ms))


def series(labels: dict[str, str], *samples: bytes) -> bytes:
    pairs = b"".join(part(1, part(1, key.encode()) + part(2, value.encode())) for key, value in labels.items())
    return part(1, pairs + b"".join(samples))


def snappy(body: bytes) -> bytes:
    """A block of literals."""
    pieces = [body[at : at + 60] for at in range(0, len(body), 60)]
    return varint(len(body)) + b"".join(bytes([len(piece) - 1 << 2]) + piece for piece in pieces)


UP = {"__name__": "up", "job": "web"}


def test_a_sample_is_a_record() -> None:
    body = series(UP, sample(1.0, 1_700_000_000_000), sample(0.5, -5), sample(STALE, 7)) + part(3, b"metadata")
    tags = (("_measurement", "up"), ("job", "web"))
    assert [row[1:] for row in rows(decoded(body, "prometheus"))] == [
        (0, tags, 1_700_000_000_000_000_000, "value", 1.0),
        (1, tags, -5_000_000, "value", 0.5),
    ]


def test_version_2_names_its_labels_by_number() -> None:
    symbols = ["", "__name__", "up", "job", "web"]
    references = b"".join(map(varint, (1, 2, 3, 4)))
    body = b"".join(part(4, text.encode()) for text in symbols) + part(5, part(1, references) + sample(2.0, 9))
    assert [row[2:] for row in rows(decoded(body, "prometheus2"))] == [
        ((("_measurement", "up"), ("job", "web")), 9_000_000, "value", 2.0)
    ]


def test_a_sample_at_fault_is_rejected_and_the_others_are_stored() -> None:
    body = series(UP, sample(float("nan"), 1), sample(3.0, 2)) + series({"job": ""}, sample(1.0, 1))
    body += series({f"l{n}": "a" for n in range(300)}, sample(1.0, 1)) + series(UP, sample(1.0, 1 << 60))
    batch = decoded(body, "prometheus")
    assert faults(batch) == {
        0: ("not_finite",),
        2: ("empty",),
        3: ("too_many_members",),
        4: ("time_out_of_range",),
    }
    assert [row[-1] for row in rows(batch)] == [3.0]


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\x0a\x05ab",
        b"\x0b",
        series(UP, part(2, b"\x08\x05\x10\x05")),
        series({"\udcff".encode("utf-8", "surrogatepass").decode("latin-1"): "x"})[:-2],
    ],
)
def test_bytes_that_are_no_write_request_are_refused(body: bytes) -> None:
    assert [fault.code for fault in DECODER.check_open(body, "prometheus").refused] == ["undecodable"]


@pytest.mark.parametrize("references", [b"\x00", b"\x00\x00\x00"])
def test_a_label_of_version_2_without_a_value_is_refused(references: bytes) -> None:
    body = part(4, b"job") + part(5, part(1, references) + sample(2.0, 9))
    assert [fault.code for fault in DECODER.check_open(body, "prometheus2").refused] == ["undecodable"]


def test_snappy_copies_and_limits() -> None:
    assert unpack_block(varint(12) + b"\x04ab" + bytes([(10 - 1) << 2 | 2, 2, 0])) == b"ab" * 6
    assert unpack_block(varint(9) + b"\x10abcde" + bytes([1, 5])) == b"abcdeabcd"
    for broken in (b"", b"\xff" * 6, b"\x05\x10abc", b"\x02\x10abcde", b"\x05\x04ab\x01\x09", b"\x04\x04ab"):
        with pytest.raises(ValueError):
            unpack_block(broken)


def test_remote_write_is_durable_and_counted(whole: Api) -> None:
    body = snappy(series(UP, sample(1.0, 1_700_000_000_000), sample(float("nan"), 1_700_000_001_000)))
    answer = whole.client.post("/api/v1/write", content=body, headers=PROTOBUF)
    assert (answer.status_code, answer.headers["x-prometheus-remote-write-samples-written"]) == (204, "1"), answer.text
    ended = whole.client.post("/v1/points?feed=prometheus", content=b"end f=1", headers={"Prefer": "wait=30"})
    assert ended.status_code == 200, ended.text
    assert values(whole, "prometheus", job="web") == {"up/web/value": [1.0]}
    receipt = whole.client.get(f"/v1/receipts/{answer.headers['x-tidemill-receipt']}").json()
    assert (receipt["accepted"], receipt["rejected"], receipt["reasons"]) == (1, 1, {"not_finite": 1})


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (varint(1 << 31) + b"\x00a", PROTOBUF, 413),
        (varint(10_000_000) + b"\x00a", PROTOBUF, 413),
        (b"\x05\x10ab", PROTOBUF, 400),
        (snappy(b"\xff\xff"), V2, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"", {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_what_cannot_be_read_is_refused(whole: Api, body: bytes, headers: dict[str, str], status: int) -> None:
    assert whole.client.post("/api/v1/write", content=body, headers=headers).status_code == status
