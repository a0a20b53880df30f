"""What an answer is at a glance: the poller reads it as the mill does, so what the mill would store counts as read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.decode.decoder import MAX_DEPTH, Decoder
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.model.payload import LogEntry, Payload
from tidemill.sources.answers import cut_records, judge_answer, value_at
from tidemill.sources.caps import record_keys
from tidemill.sources.source_spec import expected_answer

BOM = b"\xef\xbb\xbf"
LISTED = """
name = "plant"
[input]
records = "$.rows"
[time]
path = "$.at"
[tags.unit]
path = "$.unit"
[fields.level]
path = "$.level"
"""
SIGNS = """
[source]
url = "http://127.0.0.1:1/"
error_path = "$.fault.text"
[[source.nothing]]
path = "$.state"
equals = "no rows"
[[source.nothing]]
path = "$.rows"
absent = true
"""
ROW = {"at": "2026-04-01T00:00:00Z", "unit": "p1", "level": 2.5}


def seen(body, text=LISTED, claimed="application/json"):
    feed = load_feed(text) if isinstance(text, str) else text
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = judge_answer(body, claimed, expected_answer(feed), MAX_DEPTH)
    return (found.content_type or "garbage", "unexpected" if found.content_type and found.why else found.records)


def stored(feed, body, form):
    """How many records the mill would decode, and how many it counts."""
    batch = Decoder(feed).decode_batch([LogEntry(1, Payload("", "default", "plant", 1, 0, form, body, b""))])
    return batch.frame.height, int(batch.counts["records"].sum())


@pytest.mark.parametrize(
    "body",
    [
        {"error": "quota exceeded"},
        {"rows": None},
        {"rows": "see page 2"},
        {"rows": {"message": "try later"}},
        {"rows": [{"error": "no such unit"}]},
        {"rows": ["error"]},
        [ROW],
        {},
        7,
        "busy",
        b'{"rows": [], "rows": []}',
        b'{"rows": [], "share": NaN}',
    ],
)
def test_an_answer_without_the_declared_records_is_unexpected(body):
    assert seen(body) == ("application/json", "unexpected")


@pytest.mark.parametrize("body", [b"<html>", b'{"rows": [', b"\xff\xfe{", b"[" * 100_000, b"Sorry", b'{"rows": 1} x'])
def test_what_is_no_json_is_garbage(body):
    assert seen(body)[0] == "garbage"


def test_a_lone_object_is_a_record_only_if_it_has_what_a_record_must_have():
    lone = LISTED.replace('records = "$.rows"', "")
    assert seen(ROW, lone) == ("application/json", 1)
    assert seen({**ROW, "level": None}, lone) == ("application/json", 1)
    assert seen({"error": "x", "level": 1, "unit": "p1"}, lone) == ("application/json", "unexpected")
    assert seen({"rows": ROW}) == ("application/json", 1)
    assert seen(b'{"error": 1}', Feed(name="any")) == ("application/json", 1), "such a feed declares no member"


def test_nothing_and_errors_look_as_the_feed_says():
    text = LISTED + SIGNS
    assert seen({"state": "no rows"}, text) == ("application/json", 0)
    assert seen({"state": "no rows", "rows": [ROW]}, text) == ("application/json", 1), "there are records"
    assert seen({"rows": None}, text) == seen({}, text) == ("application/json", 0)
    assert seen({"rows": [ROW], "fault": {"text": "half of it"}}, text) == ("application/json", "unexpected")
    for quiet in (None, "", False, 0):
        assert seen({"rows": [ROW], "fault": {"text": quiet}}, text) == ("application/json", 1)
    assert seen({"rows": "x", "state": "no row"}, text) == ("application/json", "unexpected")


def test_a_mark_and_a_broken_record_hinder_no_other():
    good = json.dumps({"rows": [ROW, ROW]}).encode()
    for body in (BOM + good, BOM + b"\n" + good, good.replace(b"2.5", b"NaN", 1), good.replace(b'"p1"', b"1e999", 1)):
        form, count = seen(body)
        assert (form, count) == ("application/json", 2)
        assert stored(load_feed(LISTED), body, "json")[0] >= 1
    one = json.dumps(ROW).encode()
    lines = one + b"\n" + one.replace(b"2.5", b"NaN") + b"\n{\n" + one
    assert seen(BOM + lines) == ("application/x-ndjson", 4)
    assert stored(load_feed(LISTED), BOM + lines, "ndjson") == (2, 4)
    cut_short = b'{"rows": [\n' + one + b",\n" + one + b",\n" + one[:-1]
    assert seen(cut_short)[0] == "garbage"


def test_blank_bodies_hold_no_lines():
    assert seen(b"") == seen(b" \n") == ("application/x-ndjson", 0)
    assert seen(b"", LISTED.replace("[input]", '[input]\nformats = ["json"]'))[0] == "garbage"


def test_binary_records_are_counted_and_a_page_is_none():
    text = """
name = "packed"
[input]
formats = ["binary"]
[input.layout]
record_bytes = 6
header_bytes = 4
[time]
format = "received"
[fields.level]
at = 0
type = "int16_le"
"""
    assert seen(bytes(16), text, "application/octet-stream") == ("application/octet-stream", 2)
    assert seen(b"", text, "")[1] == 0
    assert seen(b"<html>Sorry</html>", text, "text/html")[0] == "garbage"


members = st.sampled_from(["1", "NaN", "null", '"x"', "-Infinity", "1e400", "[1]", "{}", '"\\u00e9"', "tru"])
records = st.builds(
    lambda at, level, unit: f'{{"at": {at}, "level": {level}, "unit": {unit}}}',
    st.sampled_from(['"2026-04-01T00:00:00Z"', '"later"', "3"]),
    members,
    st.sampled_from(['"p1"', "null", "7"]),
)


@given(st.lists(records, max_size=5), st.sampled_from([b"", BOM]), members, st.sampled_from(["json", "lines", "cut"]))
def test_poller_and_mill_agree_on_every_answer(items, mark, beside, kind):
    """Whatever the mill would store anything of is an answer with as many records as the mill counts; and of an answer
    that counts as read the mill accounts for each record by itself."""
    feed = load_feed(LISTED)
    text = f'{{"beside": {beside}, "rows": [{", ".join(items)}]}}'
    body = mark + {"json": text, "lines": "\n".join(items), "cut": text[:-1]}[kind].encode()
    found = judge_answer(body, "", expected_answer(feed), MAX_DEPTH)
    form = "ndjson" if found.content_type == "application/x-ndjson" else "json"
    good, counted = stored(feed, body, form)
    if good:
        assert not found.why and found.records == counted
    if found.content_type and not found.why and found.records:
        assert found.records == counted


@given(
    st.recursive(
        st.none() | st.integers(0, 9) | st.text(max_size=3),
        lambda part: st.dictionaries(st.text(max_size=2), part, max_size=3),
    )
)
def test_values_are_where_a_plain_parse_has_them(document):
    body = BOM + json.dumps(document).encode()
    for key in document if isinstance(document, dict) else ():
        assert value_at(body, (key,)) == document[key]
    assert value_at(body, ("no such", "key")) is ...
    assert value_at(b'{"a": {"b": 1}, "c": NaN}', ("a", "b")) == 1


COLUMNS = """
name = "any"
input.columns = "$.hourly"
time.path = "$.time"
fields.level.path = "$.level"
fields.snow = { path = "$.snow", required = false }
"""


@pytest.mark.parametrize(
    ("hourly", "records", "why"),
    [
        ({"time": ["x", "y"], "level": [1, None]}, 2, ""),
        ({"time": [], "level": []}, 0, ""),
        ({"time": ["x", "y"], "level": [1]}, None, "level has 1 items, and time has 2"),
        ({"time": ["x"], "level": None}, None, "has no level"),
        ({"time": ["x"]}, None, "has no level"),
        ([1], None, "no object of arrays"),
        (None, None, "no object of arrays"),
    ],
)
def test_an_answer_of_columns_has_the_arrays_that_a_record_needs(hourly, records, why):
    feed = load_feed(COLUMNS)
    body = json.dumps({"latitude": 5, "hourly": hourly}).encode()
    verdict = judge_answer(body, "", expected_answer(feed), 16)
    assert (verdict.content_type, verdict.records) == ("application/json", records)
    assert why in verdict.why
    missing = judge_answer(b'{"error": true}', "", expected_answer(feed), 16)
    assert (missing.records, "$.hourly: is missing; it must be an object of arrays" in missing.why) == (None, True)


def test_records_of_columns_are_their_items():
    expected = expected_answer(load_feed(COLUMNS))
    body = json.dumps({"hourly": {"time": ["x", "y"], "level": [1, 2], "other": [1], "id": "d"}}).encode()
    records = cut_records(body, "application/json", expected, 16)
    assert [json.loads(record) for record in records] == [
        {"time": "x", "level": 1, "id": "d"},
        {"time": "y", "level": 2, "id": "d"},
    ]
    assert record_keys(records, expected.identity) == [b'"x"', b'"y"']


def test_lines_whose_ends_were_lost_are_records():
    assert seen(b'{"t": 1, "v": 1}{"t": 2, "v": 2}', Feed(name="any")) == ("application/x-ndjson", 2)
