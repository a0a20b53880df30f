"""Decoders of other packages: what they make of a payload is judged as JSON is, and whatever they raise is a fault."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.payloads import logged
from tidemill.api import formats as intake_formats
from tidemill.api.problems import MediaTypeError
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds import formats
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed

FEED = """
name = "lines"
input = {{ formats = [{formats}], on_fault = "refuse" }}
[time]
path = "$.at"
[tags.site]
path = "$.from.site"
[fields.level]
path = "$.level"
max = 10
"""
GOOD = {"at": datetime(2026, 1, 1, tzinfo=UTC), "from": {"site": "n1"}, "level": 3}


class Evaluated:
    """A decoder that does what the payload says: Python, for tests."""

    media_types = ("application/x-python", "text/x-python")

    def records(self, body: bytes) -> Any:
        return eval(body.decode(), {"GOOD": GOOD, "datetime": datetime})


class NoDecoder:
    media_types = "text/plain"


class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no licence")


@pytest.fixture(scope="module", autouse=True)
def plugged() -> Iterator[None]:
    given = {"python": Evaluated, "again": Evaluated(), "none": NoDecoder(), "broken": Broken, "json": Evaluated}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "load_plugins", lambda group: given)
        formats.plugin_decoders.cache_clear()
        yield
    formats.plugin_decoders.cache_clear()


def feed(*names: str) -> Feed:
    return load_feed(FEED.format(formats=", ".join(f'"{name}"' for name in names)))


def check(body: str) -> list[tuple[str, str]]:
    return [(fault.path, fault.code) for fault in Decoder(feed("python")).check_payload(body.encode(), "python", 0)]


def test_its_records_are_judged_as_json_is() -> None:
    assert check("[GOOD]") == []
    assert check("[GOOD, GOOD | {'level': 11}, GOOD | {'level': float('nan')}, GOOD | {'from': None}]") == [
        ("$[1].level", "out_of_range"),
        ("$[2].level", "not_finite"),
        ("$[3].from", "wrong_type"),
    ]
    assert check("[GOOD | {'from': {'site': '\\ud800'}}]") == [("$[0].from.site", "lone_surrogate")]
    assert check("[]") == [("$", "empty")]


def test_payloads_of_several_formats_are_one_batch() -> None:
    decoder = Decoder(feed("python", "ndjson"))
    line = json.dumps({"at": "2026-01-01T00:00:01Z", "from": {"site": "n1"}, "level": 4}).encode()
    bodies = [(b"[GOOD, GOOD, 3]", "python"), (line, "ndjson"), (b"[", "python"), (b"(GOOD,)", "python")]
    batch = decoder.decode_batch([logged(n, body, "lines", format) for n, (body, format) in enumerate(bodies)])
    assert batch.counts["records"].to_list() == [1, 1, 1, 1]
    assert batch.frame.sort("seq").select("seq", "f.level").rows() == [(1, 4.0), (3, 3.0)]
    assert batch.rejections.sort("seq").select("seq", "reasons").rows() == [(0, ["undecodable"]), (2, ["undecodable"])]


@pytest.mark.parametrize(
    "body",
    [
        "1 / 0",
        "exit()",
        "3",
        "[3]",
        "[{1: {(): 2}}]",
        "[GOOD | {'x': object()}]",
        "int('x')",
        "None",
        "\xff",
        "",
        "a" * 3,
    ],
)
def test_whatever_it_raises_is_a_fault_of_the_payload(body: str) -> None:
    decoder, raw = Decoder(feed("python")), body.encode("latin-1")
    [fault] = decoder.check_payload(raw, "python", 0)
    assert (fault.path, fault.code) == ("$", "undecodable")
    assert decoder.decode_batch([logged(1, raw, "lines", "python")]).rejections["reasons"].to_list() == [
        ["undecodable"]
    ]
    assert decoder.record_texts(raw, "python").text(0) == raw.decode("utf-8", "replace")


@given(st.binary(max_size=8))
def test_no_bytes_raise_anything(body: bytes) -> None:
    assert Decoder(feed("python")).check_payload(body, "python", 0)


def test_the_ledger_gets_the_record_as_it_was_decoded() -> None:
    text = Decoder(feed("python")).record_texts(b"[3 and GOOD, {'level': 'x'}]", "python").text(1)
    assert json.loads(text) == {"level": "x"}


def test_a_format_is_known_by_its_name_and_one_that_is_no_decoder_is_not() -> None:
    for name in ("pyton", "none", "broken"):
        with pytest.raises(FeedDefinitionError) as raised:
            feed(name)
        [fault] = raised.value.faults
        assert fault.code == "unknown_format"
        assert name != "pyton" or "did you mean 'python'?" in fault.message
    assert Decoder(feed("json")).check_payload(b"[GOOD]", "json", 0)[0].code == "invalid_json"  # not taken over


def settled(content_type: bytes | None, body: bytes, *taken: str) -> str:
    return intake_formats.settle_format(intake_formats.named_format(content_type, taken), body, taken)


def test_intake_knows_a_format_by_its_content_type() -> None:
    assert settled(b"text/x-python; charset=latin-1", b"[]", "json", "python") == "python"
    assert settled(b"application/json", b"[]", "json", "python") == "json"
    assert settled(b"text/plain", b"[]", "json", "python") == "json"
    for vague in (None, b"text/plain", b"application/octet-stream", b"application/x-www-form-urlencoded"):
        assert settled(vague, b"[]", "python") == "python"
    for kind, taken in ((b"application/json", ["python"]), (b"text/x-python", ["json"]), (None, ["python", "again"])):
        with pytest.raises(MediaTypeError):
            settled(kind, b"[]", *taken)


def test_a_feed_of_binary_records_takes_any_content_type() -> None:
    for kind in (None, b"application/octet-stream", b"application/json", b"image/png", b"text/plain; charset=x"):
        assert settled(kind, b"{}\n{}", "binary") == "binary"
