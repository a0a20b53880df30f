"""Paths: what is read, what is refused with line, key and what to do, and what stored definitions may keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.feeds.paths import ITEMS, KEY, MEMBERS, UP, Path, is_readable_key, parse_path, path_text
from tidemill.feeds.revise import check_revision

FEED = """name = "f"
[input]
records = "{records}"
[time]
path = "$.t"
[fields.v]
path = "{path}"
"""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$", ()),
        ("$.a.b-c", ("a", "b-c")),
        ("$['a.b'].c", ("a.b", "c")),
        ('$["it\'s"]', ("it's",)),
        (r"$['it\'s']", ("it's",)),
        ("$[1][0].x", (1, 0, "x")),
        ("$^.x", (UP, "x")),
        ("$^^['x y']", (UP, UP, "x y")),
        ("$~", (KEY,)),
        ("$^~", (UP, KEY)),
        ("$.a[*].b", ("a", ITEMS, "b")),
        ("$.*[*]", (MEMBERS, ITEMS)),
        ("$.temp°C.x", ("temp°C", "x")),  # as a version before wrote it
    ],
)
def test_a_path_is_its_steps(text: str, path: Path) -> None:
    assert parse_path(text) == path
    assert parse_path(path_text(path)) == path


@given(keys=st.lists(st.text().filter(is_readable_key) | st.integers(0, 255), max_size=4), ups=st.integers(0, 2))
def test_every_path_that_is_written_is_read_as_the_same(keys: list[str | int], ups: int) -> None:
    path: Path = (*([UP] * ups if keys else []), *(key for key in keys if key != "~"))
    if path and path[-1] is not UP:
        assert parse_path(path_text(path)) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "$a",
        "$.",
        "$.a.",
        "$..a",
        "$[",
        "$[x]",
        "$[-1]",
        "$[256]",
        "$^",
        "$~.a",
        "$['a",
        "$['\x07']",
        "$['a\\\\b']",
    ],
)
def test_other_texts_are_no_paths(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|name a member"):
        parse_path(text)


def fault(text: str) -> str:
    with pytest.raises(FeedDefinitionError) as error:
        check_revision(text, "f", None, source="f.toml")
    (fault,) = error.value.faults
    assert fault.code == "bad_path"
    return f"{fault.path}: {fault.message}"


@pytest.mark.parametrize(
    ("records", "path", "message"),
    [
        ("$", "$.1", "f.toml:7: fields.v.path: '.1' is a key or an item: write [1] for the item of an array, ['1']"),
        ("$", "$.@odata.nextLink", "quote the whole key, such as $['@odata.nextLink']"),
        ("$", "$.1-0:1.8.0*255", "quote the whole key, such as $['1-0:1.8.0*255']"),
        ("$", "$^.x", "above the records at $ there is nothing"),
        ("$.a", "$^^.x", "above the records at $.a there is only 1 level ('^')"),
        ("$.a", "$~", "the records do not stand under keys; [input] records = '$.days.*'"),
        ("$.a", "$^~", "what is above does not stand under keys"),
        ("$.a", "$^.a", "'a' holds the records themselves; name another member"),
        ("$.a", "$^[0]", "what is there above is an object, which holds 'a'; name a member"),
        ("$.*.*", "$^.x", "only its key can be read, $^~"),
        ("$.a", "$.b[*]", "[*] and .* are for [input] records"),
        ("$.a", "$[0]", "reads as an array what time.path reads otherwise"),
        ("$.a", "$", "'$' is the whole record"),
        ("$^.a", "$.v", "f.toml:3: input.records: records are inside the document: a path of records has"),
        ("$.a", "$.t.x", "overlaps time.path"),
    ],
)
def test_a_path_that_can_never_match_is_refused(records: str, path: str, message: str) -> None:
    assert message in fault(FEED.format(records=records, path=path))


def test_a_stored_definition_with_an_unquoted_key_is_read_as_before() -> None:
    feed = load_feed(FEED.format(records="$", path="$.@value"))
    assert parse_path(feed.fields["v"].path or "") == ("@value",)


@pytest.mark.parametrize("path", ["$^.x", "$~", "$.a[*]", "$.@x"])
def test_a_path_in_an_answer_has_keys_and_items_only(path: str) -> None:
    source = f'[source]\nurl = "https://api.example.com/"\nerror_path = "{path}"\n'
    message = fault(FEED.format(records="$", path="$.v") + source)
    assert "source.error_path" in message
