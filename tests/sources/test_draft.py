"""What an answer looks like, and the feed that is drafted of it: always one that loads, and that decodes the answer."""

import json
import time
from unittest.mock import ANY

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidemill.feeds.load import load_feed
from tidemill.feeds.variables import visible_variables
from tidemill.sources.answers import judge_answer
from tidemill.sources.draft import DraftOptions, draft_feed, feed_name
from tidemill.sources.preview import preview_answer
from tidemill.sources.source_spec import expected_answer
from tidemill.sources.structure import guess_structure

MIDNIGHT = "2026-03-01T00:00:00Z"
URL = "https://api.example.com/v1/readings?site=7"
READINGS = {
    "meta": {"count": 2, "generated_at": "2026-03-01T00:00:00Z"},
    "next_cursor": "abc",
    "data": [
        {"timestamp": "2026-03-01T00:00:00Z", "site": "north", "value": 1.5, "quality": "good", "ok": True},
        {"timestamp": "2026-03-01T00:15:00Z", "site": "north", "value": None, "quality": "", "ok": False},
    ],
}


def drafted(document, wish=DraftOptions(), variables=None):  # noqa: B008 - frozen
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = guess_structure(body, wish.records)
    return found and (found, draft_feed(URL, found, wish, visible_variables(variables or {})))


def seen(document, wish=DraftOptions()):  # noqa: B008 - frozen
    """What the drafted feed makes of the answer that it was drafted from: (time, tags, values) of each record."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    _, text = drafted(body, wish)
    found = preview_answer(load_feed(text), body, "application/json", time.time_ns(), 10)
    assert not found.rejections, text
    return [(row.time, row.tags, row.values) for row in found.rows]


def test_records_time_values_and_tags_are_found():
    found, text = drafted(READINGS)
    assert (found.records, found.count, found.next) == ("$.data", 2, "$.next_cursor")
    assert {member.path: member.role for member in found.members} == {
        "$.timestamp": "time",
        "$.site": "tag",
        "$.value": "value",
        "$.quality": "unused",
        "$.ok": "unused",
    }
    assert "cursor_path" in text
    assert seen(READINGS) == [("2026-03-01T00:00:00Z", {"site": "north"}, {"value": 1.5})]


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ({"ts": 1_772_323_200, "t": 20.5}, ("2026-03-01T00:00:00Z", {}, {"t": 20.5})),
        ({"at": 1_772_323_200_123, "v": 1}, ("2026-03-01T00:00:00.123Z", {}, {"v": 1.0})),
        ({"date_time": "2026-03-01 00:00:00", "v": 1}, ("2026-03-01T00:00:00Z", {}, {"v": 1.0})),
        ({"created": "2026-01-01T00:00:00Z", "time": "2026-03-01T01:00:00+01:00", "v": 1}, (MIDNIGHT, {}, {"v": 1.0})),
        ({"time": 1_772_323_200, "value": [0, 0, 128, 63]}, ("2026-03-01T00:00:00Z", {}, {"value": 1.0})),
        ({"a": {"time": MIDNIGHT, "v": {"temp": 1, "7": 2}}}, (MIDNIGHT, {}, {"temp": 1.0, "m_7": 2.0})),
        ({"time": MIDNIGHT, "a": {"limit": 3, "field": "x"}}, (MIDNIGHT, {"a_field": "x"}, {"a_limit": 3.0})),
    ],
)  # fmt: skip
def test_a_guess_decodes_what_it_was_made_of(record, row):
    assert seen(record) == [row]


def test_lines_are_records_too():
    assert [row[2] for row in seen(b'{"time": 1772323200, "v": 1}\n{"time": 1772323260, "v": 2}\n')] == [
        {"v": 1},
        {"v": 2},
    ]


def test_numbers_of_a_record_become_their_summary():
    [(_, _, values)] = seen({"time_stamp": "2026-03-01T00:00:00Z", "data": [1, 2, 3.5]})
    assert values["count"] == 3


def test_without_a_time_it_is_when_the_answer_came():
    _, text = drafted({"v": 1})
    assert load_feed(text).time.format == "received"


def test_what_was_said_goes_before_what_was_guessed():
    document = {"a": [{"x": 1}], "b": [{"when": "2026-03-01 12:00:00", "x": 1, "y": 2, "who": "u"}]}
    wish = DraftOptions(
        records="$.b", time="$.when", zone="Europe/Zurich", fields={"level": "$.y"}, tags={"user": "$.who"}
    )
    assert seen(document, wish) == [("2026-03-01T11:00:00Z", {"user": "u"}, {"level": 2.0})]


def test_a_secret_is_in_no_draft():
    wish = DraftOptions(
        headers={"Authorization": "Bearer hush", "X-Key": "${TOKEN}", "Accept": "a/b", "X-Auth": "${TIDEMILL_T}"}
    )
    variables = {"TOKEN": "hush", "TIDEMILL_T": "hush"}
    _, text = drafted(READINGS, wish, variables)
    assert "hush" not in text
    found = load_feed(text, environment=visible_variables(variables)).source
    assert found.headers == {"Authorization": "", "X-Key": "", "Accept": "a/b", "X-Auth": "hush"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[1, 2]", b"3", b"{}", b"\xff", b"[" * 50_000, b'{"a": "b"}'])
def test_what_has_no_values_makes_no_feed(body):
    found = drafted(body)
    assert found is None or found[1] is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.example.com/v1/readings?x=1", "readings"),
        ("https://api.example.com/", "api"),
        ("http://127.0.0.1:80/", "source"),
        ("https://x.org/2026/Data%20File.json", "data-20file"),
        ("https://x.org/../..//", "x"),
    ],
)
def test_a_feed_is_named_after_its_url(url, name):
    assert feed_name(url) == name


LONG = "k" * 60
ODD_KEYS = [
    *("", ".", "a.b", "-", "_", "__proto__", "proto", "constructor", "\xe9", "\N{GRINNING FACE}", "\N{SNOWMAN}", "a b"),
    *("a_b", "a!b", "7", "07", "m_7", "time", "ts", "value", "a", "limit", "field", "0100011D00FF", "0100011D00FF_1"),
    *("m_0100011D00FF", LONG, f"{LONG}12345", f"{LONG}12346", f"0{LONG}", f"0{LONG}9", "\x80", "$", "{x}", "${X}", "#"),
]
KEYS = st.one_of(st.text(max_size=8), st.sampled_from(ODD_KEYS))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["2026-03-01T00:00:00Z", "2026-03-01 00:00:00", "12.5", "\x1b[31m", '"""', "'", "\\"]),
    st.lists(st.integers(0, 255), min_size=4, max_size=4),
    st.lists(st.text(max_size=3), max_size=3),
    st.lists(st.integers(0, 999), max_size=3),
)
OBJECTS = st.dictionaries(KEYS, st.one_of(LEAVES, st.dictionaries(KEYS, LEAVES, max_size=3)), max_size=6)
DOCUMENTS = st.one_of(
    OBJECTS, st.lists(OBJECTS, max_size=4), st.fixed_dictionaries({"data": st.lists(OBJECTS, max_size=4)})
)


@settings(max_examples=80, deadline=None)
@given(DOCUMENTS)
@example({"0100011D00FF": 0})  # nothing but registers
@example({"\x80": MIDNIGHT, "0": MIDNIGHT, "00": 0})
@example({"0": {"0100011D00FF": 0}, "0100011D00FF": 0})
@example([{"data": [1, 2]}, {"data": None}])
def test_whatever_the_answer_the_draft_is_a_feed(document):
    found = drafted(json.dumps(document).encode())
    if found is None or found[1] is None:
        return
    text = found[1]
    assert all(char.isprintable() or char == "\n" for char in text), text
    feed = load_feed(text)
    made = preview_answer(feed, json.dumps(document).encode(), "application/json", time.time_ns(), 10)
    assert made is not None
    assert made.accepted + made.rejected == made.records


NAMES = st.sampled_from(["value", "a", "m_7", "m_0100011D00FF", "data", "x", "proto"])


@settings(max_examples=80, deadline=None)
@given(DOCUMENTS, st.data())
def test_whatever_is_asked_for_beside_the_guesses_the_draft_is_a_feed(document, data):
    """Members that the asker names share no name, and no place in the record, with those that are guessed."""
    body = json.dumps(document).encode()
    found = guess_structure(body)
    if found is None or not found.members:
        return
    paths = st.lists(st.sampled_from(apart([member.path for member in found.members])), max_size=3, unique=True)
    chosen = data.draw(paths)
    names = data.draw(st.lists(NAMES, min_size=len(chosen), max_size=len(chosen), unique=True))
    wish = DraftOptions(**{data.draw(st.sampled_from(["tags", "fields"])): dict(zip(names, chosen, strict=True))})
    text = draft_feed(URL, found, wish, visible_variables({}))
    if text is not None:
        load_feed(text)


def apart(paths):
    """These paths, and the objects that hold them, without those above another one."""
    holders = {path.rpartition(".")[0] for path in paths if path.count(".") > 1}
    free = [path for path in paths if not any(path.startswith(f"{holder}.") for holder in holders)]
    return [*free, *(holder for holder in holders if not any(h.startswith(f"{holder}.") for h in holders))]


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize("value", [1, "north", [1, 2], ["a"]])
def test_a_draft_is_a_feed_with_one_key_in_every_place(key, value):
    record = {"time": MIDNIGHT, "v": 1, key: value, "x": {key: value, "y": {key: value}}}
    for document in (record, [record, {"time": MIDNIGHT}], {key: [record]}):
        found = drafted(document)
        if found is not None and found[1] is not None:  # an object whose key no path can name is not looked into
            load_feed(found[1])


def test_names_stay_apart_when_they_are_shortened():
    keys = [f"0{LONG}{n}" for n in range(30)]
    text = drafted({"time": MIDNIGHT} | dict.fromkeys(keys, 1))[1]
    assert len(load_feed(text).fields) == 30


HOURS = {"time": ["2026-03-01T00:00", "2026-03-01T01:00"], "temp": [1.5, None], "snow": [0, 1]}


@pytest.mark.parametrize(
    ("document", "words", "rows"),
    [
        (
            {"latitude": 5, "hourly_units": {"time": "iso8601"}, "hourly": HOURS},
            'columns = "$.hourly"',
            [(MIDNIGHT, {}, {"temp": 1.5, "snow": 0}), ("2026-03-01T01:00:00Z", {}, {"snow": 1})],
        ),
        (
            {"when": [1_772_323_200, 1_772_323_260], "x": [1.5, 2.5], "device": "d7", "id": 4},
            'columns = "$"',
            [(MIDNIGHT, {"device": "d7"}, {"x": 1.5}), ("2026-03-01T00:01:00Z", {"device": "d7"}, {"x": 2.5})],
        ),
        (
            [{"t": MIDNIGHT, "station": "s", "parameter": name, "value": n} for n, name in enumerate("abcdef")],
            'name_path = "$.parameter"',
            [(MIDNIGHT, {"station": "s"}, {name: float(n)}) for n, name in enumerate("abcdef")],
        ),
        ({"time": "16:47", "power": 5, "unixtime": 1_772_323_200}, "time of day", [(MIDNIGHT, {}, {"power": 5})]),
        ([{"time": "2026-03-01T00:00", "v": 1}, {"time": "2026-03-01T01:00", "v": 2}], "zone", None),
    ],
    ids=["columns", "columns of the document", "long format", "a clock", "no seconds"],
)  # fmt: skip
def test_a_draft_has_the_shape_of_the_answer(document, words, rows):
    _, text = drafted(document)
    assert words in text
    if rows is not None:
        assert seen(document) == rows


def test_columns_can_be_named_like_records():
    found, text = drafted({"a": [{"x": 1}, {"x": 2}], "hourly": HOURS}, DraftOptions(records="$.hourly"))
    assert (found.kind, 'columns = "$.hourly"' in text) == ("columns", True)


LATER = "2026-03-01T01:00:00Z"
SAME = {"t": MIDNIGHT, "w": 5}


def two(first, second, *, tags=({}, {}), later=LATER):
    """Two records, at midnight and later."""
    return [(MIDNIGHT, tags[0], first), (later, tags[1], second)]


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        ({"prices": {MIDNIGHT: 1.5, LATER: 2}}, two({"value": 1.5}, {"value": 2.0})),
        ({MIDNIGHT: 1, LATER: None}, [(MIDNIGHT, {}, {"value": 1.0})]),
        ({"a.b": {"2026-03-01": 7, "2026-03-02": 8}}, two({"value": 7.0}, {"value": 8.0}, later=ANY)),
        ({"x": {"1772323200": 1, "1772326800": 2}}, two({"value": 1.0}, {"value": 2.0})),
        ({"x": {"1772323200000": {"a": 1}, "1772326800000": {"a": 2}}}, two({"a": 1.0}, {"a": 2.0})),
        (
            {"now": {name: SAME | {"v": n} for n, name in enumerate("abc")}},
            [(MIDNIGHT, {"key": name}, {"v": float(n), "w": 5.0}) for n, name in enumerate("abc")],
        ),
        (
            {"days": {"2026-03-01": {"min": 1, "q": "ok"}, "2026-03-02": {"min": 3, "q": "ok"}}},
            two({"min": 1.0}, {"min": 3.0}, tags=({"q": "ok"}, {"q": "ok"}), later=ANY),
        ),
        ([[1772323200, 1.5, 2], [1772326800, None, 3]], two({"m_1": 1.5, "m_2": 2.0}, {"m_2": 3.0})),
        (
            {"rows": [["a", 1, MIDNIGHT], ["b", 2, LATER]]},
            two({"m_1": 1.0}, {"m_1": 2.0}, tags=({"m_0": "a"}, {"m_0": "b"})),
        ),
        (
            {"t-s": [1772323200, 1772326800], "v w": [1, 2], "v.x": [3, None]},
            two({"v_w": 1.0, "v_x": 3.0}, {"v_w": 2.0}),
        ),
        (
            {"t": [MIDNIGHT, LATER], "v": [1, 2], "q": ["ok", None], "n": 4},
            two({"v": 1.0}, {"v": 2.0}, tags=(ANY, ANY)),
        ),
        ({"x": {MIDNIGHT: "5", LATER: "6"}}, None),
    ],
)
def test_every_draft_is_loaded_and_reads_its_answer(document, rows):
    """The poller takes what the mill stores, too."""
    found = drafted(document)
    assert found is not None or rows is None
    if found is None or found[1] is None:
        assert rows is None
        return
    sample, feed = seen(document), load_feed(found[1])
    assert rows is None or sample == rows
    verdict = judge_answer(json.dumps(document).encode(), "application/json", expected_answer(feed), 16)
    assert (verdict.records or 0) >= len(sample) > 0, found[1]


def test_numbers_in_texts_are_values_and_numbers_of_things_are_tags():
    rows = [
        {"date": "2026-03-01T00:00:00Z", "value": "540", "meterId": 7, "site_id": "0012", "humid": 3},
        {"date": "2026-03-01T00:30:00Z", "value": "-27.5", "meterId": 7, "site_id": "0012", "humid": 4},
    ]
    tags = {"meterId": "7", "site_id": "0012"}
    assert seen(rows) == [
        ("2026-03-01T00:00:00Z", tags, {"value": 540.0, "humid": 3.0}),
        ("2026-03-01T00:30:00Z", tags, {"value": -27.5, "humid": 4.0}),
    ]


def test_a_number_that_counts_the_records_is_no_tag():
    rows = [{"id": n, "t": f"2026-03-01T00:0{n}:00Z", "v": n / 2} for n in range(6)]
    assert [tags for _, tags, _ in seen(rows)] == [{}] * 6


def test_numbers_in_texts_in_long_format_are_read():
    rows = [
        {"t": "2026-03-01T00:00:00Z", "channel": "flow", "value": "1.5"},
        {"t": "2026-03-01T00:00:00Z", "channel": "level", "value": "2"},
    ]
    assert [values for _, _, values in seen(rows)] == [{"flow": 1.5}, {"level": 2.0}]


@pytest.mark.parametrize("text", ["1e999", "9007199254740993"])
def test_a_text_that_no_double_holds_is_no_value(text):
    found, _ = drafted([{"t": MIDNIGHT, "v": 1, "code": text}])
    assert {member.name: member.role for member in found.members}["code"] == "tag"


def test_a_list_of_lists_in_a_record_and_a_boolean_lead_to_what_reads_them():
    found, _ = drafted([{"t": MIDNIGHT, "v": 1, "on": True, "values": [[1, 2]]}])
    explanations = {member.name: member.explanation for member in found.members}
    assert 'type = "boolean"' in explanations["on"]
    assert "end [input] records there" in explanations["values"]
