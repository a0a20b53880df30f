"""What rules of action `refuse` say of a payload before it is acknowledged."""

import json
from typing import Any

import pytest

from tests.support.payloads import RECEIVED_NS, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.rules.refuse import refusals

NOW = RECEIVED_NS // 1_000_000_000
TEXT = """name = "pumps"
[input]
records = "RECORDS"
[time]
path = "$.t"
format = "unix_s"
[tags.pump]
path = "$.pump"
[fields.bar]
path = "$.bar"
[[rules]]
check = "range"
reason = "burst"
action = "refuse"
options = { field = "bar", max = 10 }
[[rules]]
check = "max_age"
options = { max_age = "1h" }
[[rules]]
check = "one_of"
action = "refuse"
options = { tag = "pump", values = ["a", "b"] }
"""


def record(**other: Any) -> dict[str, Any]:
    return {"t": NOW, "pump": "a", "bar": 1.0} | other


def told(body: bytes, *, form: str = "json", records: str = "$", text: str = TEXT) -> list[tuple[str, str]]:
    feed = load_feed(text.replace("RECORDS", records))
    entry = logged(1, body, "pumps", form)
    found = refusals(feed, entry.payload, Decoder(feed).decode_batch([entry]))
    return [(fault.path, fault.code) for fault in found]


def test_only_records_that_break_a_refusing_rule_are_named() -> None:
    body = [record(), record(bar=11), record(t=0), record(bar=12, pump="c", t=0), record(bar=10)]
    assert told(json.dumps(body).encode()) == [("$[1]", "burst"), ("$[3]", "burst"), ("$[3]", "not_allowed")]
    assert told(json.dumps([record(t=0)]).encode()) == []  # that rule rejects


def test_each_is_told_in_a_sentence() -> None:
    feed = load_feed(TEXT.replace("RECORDS", "$"))
    entry = logged(1, json.dumps(record(bar=11)).encode(), "pumps")
    (fault,) = refusals(feed, entry.payload, Decoder(feed).decode_batch([entry]))
    assert fault.message == "bar is outside the range to 10"


@pytest.mark.parametrize(
    ("body", "form", "records", "path"),
    [
        (record(bar=11), "json", "$", "$"),
        ([record(bar=11)], "json", "$", "$[0]"),
        ({"data": [record(bar=11)]}, "json", "$.data", "$.data[0]"),
        ({"data": record(bar=11)}, "json", "$.data", "$.data"),
        ({"data": [record(), record(bar=11)]}, "json", "$.data", "$.data[1]"),
        (record(bar=11), "ndjson", "$", "$[0]"),
    ],
)
def test_a_record_has_the_path_that_a_fault_in_it_would_have(body: Any, form: str, records: str, path: str) -> None:
    sent = json.dumps(body).encode()
    assert told(sent, form=form, records=records) == [(path, "burst")]
    assert told(b"\xef\xbb\xbf" + sent, form=form, records=records) == [(path, "burst")]
    feed = load_feed(TEXT.replace("RECORDS", records))
    (fault,) = Decoder(feed).check_payload(sent.replace(b'"bar": 11', b'"bar": "x"'), form, RECEIVED_NS)
    assert fault.path == f"{path}.bar"


def test_the_first_hundred_are_named_and_the_others_counted() -> None:
    found = told(json.dumps([record(bar=11)] * 250).encode())
    assert len(found) == 101
    assert found[99:] == [("$[99]", "burst"), ("$", "more_faults")]


def test_without_such_rules_nothing_is_refused() -> None:
    assert told(json.dumps(record(bar=11)).encode(), text=TEXT.replace('"refuse"', '"reject"')) == []


def test_a_summary_is_judged_by_what_it_comes_to() -> None:
    text = (
        'name = "files"\n[time]\npath = "$.t"\nformat = "unix_s"\n[fields.data]\npath = "$.data"\ntype = "numbers"\n'
        '[shape]\nkind = "summary"\n[[rules]]\ncheck = "range"\naction = "refuse"\n'
        'options = { field = "mean", max = 10 }\n'
    )
    assert told(json.dumps({"t": NOW, "data": [1, 2]}).encode(), text=text) == []
    assert told(json.dumps({"t": NOW, "data": [10, 12]}).encode(), text=text) == [("$", "outside_range")]
    assert told(json.dumps({"t": NOW, "data": [1e308, 1e308]}).encode(), text=text) == [("$", "outside_range")]
