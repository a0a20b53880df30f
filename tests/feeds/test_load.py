"""A feed definition is read whole, or every fault of it is named with its line."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES

GOOD = """\
name = "plant"

[time]
path = "$.at"

[fields.power]
path = "$.power"
"""


def faults(text: str) -> list[tuple[str, str]]:
    with pytest.raises(FeedDefinitionError) as raised:
        load_feed(text, source="plant.toml")
    return [(fault.path, fault.code) for fault in raised.value.faults]


def message(text: str) -> str:
    with pytest.raises(FeedDefinitionError) as raised:
        load_feed(text, source="plant.toml")
    return raised.value.message


def test_the_five_recipes_load() -> None:
    assert {name: load_feed(text).name for name, text in RECIPES.items()} == {
        name: name for name in ("dropzone", "location", "meters", "signals", "telemetry")
    }


def test_a_small_feed_loads_with_defaults() -> None:
    feed = load_feed(GOOD)
    assert (feed.name, feed.version, feed.duplicates, feed.shape.kind) == ("plant", 0, "last", "points")
    assert feed.fields["power"].required


def test_every_fault_is_named_at_once_with_its_line() -> None:
    text = """\
name = "Plant"
titel = "x"
duplicates = "frist"

[time]
path = "at"
zone = "Mars/Base"

[fields.time]
path = "$.power"
requird = true

[[rules]]
check = "max_age"
options = { max_age = "1x" }

[[rules]]
check = "max_agee"
"""
    assert sorted(faults(text)) == sorted(
        [
            ("plant.toml:2: titel", "unknown_key"),
            ("plant.toml:11: fields.time.requird", "unknown_key"),
            ("plant.toml:3: duplicates", "wrong_type"),
            ("plant.toml:1: name", "bad_name"),
            ("plant.toml:9: fields.time", "reserved_name"),
            ("plant.toml:6: time.path", "bad_path"),
            ("plant.toml:7: time.zone", "conflict"),
            ("plant.toml:7: time.zone", "unknown_zone"),
            ("plant.toml:15: rules.0.options.max_age", "bad_options"),
            ("plant.toml:18: rules.1.check", "unknown_check"),
        ]
    )


def test_hints_name_what_was_probably_meant() -> None:
    said = message(GOOD + "requird = true\n[input]\non_fault = 'refus'\n")
    assert "did you mean 'required'?" in said
    assert "did you mean 'refuse'?" in said


@pytest.mark.parametrize(
    ("added", "place", "code"),
    [
        ("[time]\nzone = 3", "plant.toml:8", "invalid_toml"),
        ("x = ", "plant.toml:8", "invalid_toml"),
        ("min = true", "plant.toml:8: fields.power.min", "wrong_type"),
        ("min = 2\nmax = 1", "plant.toml:8: fields.power.min", "conflict"),
        ("type = 'numbers'", "plant.toml:8: fields.power.type", "conflict"),
        ("[fields.again]\npath = '$.power'", "plant.toml:9: fields.again.path", "bad_path"),
        ("[fields.below]\npath = '$.power.x'", "plant.toml:9: fields.below.path", "bad_path"),
        ("[fields.whole]\npath = '$'", "plant.toml:9: fields.whole.path", "bad_path"),
        ("[tags.power]\npath = '$.p'", "plant.toml:8: tags.power", "reserved_name"),
        ("[tags.limit]\npath = '$.p'", "plant.toml:8: tags.limit", "reserved_name"),
        ("[tags.'a b']\npath = '$.p'", "plant.toml:8: tags.a b", "bad_name"),
        ("[tags.site]\npath = '$.p'\nmax_length = 0", "plant.toml:10: tags.site.max_length", "out_of_range"),
        ("[attributes.power]\npath = '$.p'", "plant.toml:8: attributes.power", "reserved_name"),
        ("[attributes.a]\npath = '$.p'\n[tags.a]\npath = '$.q'", "plant.toml:8: attributes.a", "reserved_name"),
        ("[attributes.time]\npath = '$.p'", "plant.toml:8: attributes.time", "reserved_name"),
        ("[attributes.why]\npath = '$.power'", "plant.toml:7: fields.power.path", "bad_path"),
        ("[attributes.why]\npath = '$.p'\nmax_length = 0", "plant.toml:10: attributes.why.max_length", "out_of_range"),
        ("[tags.site]", "plant.toml:8: tags.site.path", "missing"),
        ("[shape]\nkind = 'summary'", "plant.toml:9: shape.kind", "conflict"),
        ("[registers]\nexcept_keys = ['at']", "plant.toml:8: registers", "conflict"),
        ("[rollups]\nevery = '1.5s'", "plant.toml:9: rollups.every", "bad_duration"),
        ("[rollups]\nevery = '1m'\naggregates = []", "plant.toml:10: rollups.aggregates", "empty"),
        ("[retention]\npoints = 'soon'", "plant.toml:9: retention.points", "bad_duration"),
        ("[retention]\nseal_rollups = true", "plant.toml:9: retention.seal_rollups", "conflict"),
        ("[source]\nurl = 'ftp://x'", "plant.toml:9: source.url", "bad_url"),
        ("[source]\nurl = 'http://[::1/'", "plant.toml:9: source.url", "bad_url"),
        ("[source]\nurl = 'http:///data'", "plant.toml:9: source.url", "bad_url"),
        ("[source]\nurl = 'http://x/${NOT_SET}'", "plant.toml:9: source.url", "variable_unset"),
        ("[source]\nurl = 'http://x'\nevery = '-1s'", "plant.toml:10: source.every", "bad_duration"),
        (
            "[source]\nurl = 'http://x'\n[source.window]\nstart = 'now'",
            "plant.toml:11: source.window.start",
            "bad_time",
        ),
        (
            "[[rules]]\ncheck = 'range'\noptions = { field = 'x', min = 1 }",
            "plant.toml:10: rules.0.options.field",
            "bad_options",
        ),
        ("[[rules]]\ncheck = 'range'\noptions = { min = 1 }", "plant.toml:10: rules.0.options", "bad_options"),
        (
            "[[rules]]\ncheck = 'label_absent'\noptions = { label = 'x' }",
            "plant.toml:10: rules.0.options.label",
            "bad_options",
        ),
        (
            "[[rules]]\ncheck = 'one_of'\noptions = { tag = 'x', values = ['a'] }",
            "plant.toml:10: rules.0.options.tag",
            "bad_options",
        ),
        (
            "[[rules]]\ncheck = 'max_age'\nreason = 'Too old'\noptions = { max_age = '1h' }",
            "plant.toml:10: rules.0.reason",
            "bad_name",
        ),
    ],
)
def test_a_fault_is_found_and_placed(added: str, place: str, code: str) -> None:
    assert (place, code) in faults(GOOD + added + "\n")


@pytest.mark.parametrize(
    ("time", "key", "code"),
    [
        ("", "time.path", "missing"),
        ("path = '$.at'\nzone = 'Europe/Zurich'", "time.zone", "conflict"),
        ("path = '$.at'\nformat = 'unix_s'\nzone = 'UTC'", "time.zone", "conflict"),
        ("path = '$.at'\noffset = 'optional'", "time.offset", "missing"),
        (
            "path = '$.at'\noffset = 'optional'\nzone = 'UTC'\nzone_position = ['$.a', '$.b']",
            "time.zone_position",
            "conflict",
        ),
        ("path = '$.at'\noffset = 'optional'\nzone_position = ['$.a']", "time.zone_position", "wrong_type"),
        ("path = '$.at'\nformat = 'received'", "time", "conflict"),
        ("path = '$.at'\nformat = 'unix'", "time.format", "wrong_type"),
    ],
)
def test_times_that_do_not_fit_together_are_faults(time: str, key: str, code: str) -> None:
    text = f"name = 'plant'\n[fields.power]\npath = '$.power'\n[time]\n{time}\n"
    assert (key, code) in [(path.rpartition(": ")[2], found) for path, found in faults(text)]


def test_first_wins_needs_a_required_field() -> None:
    assert ("plant.toml:1: duplicates", "conflict") in faults("duplicates = 'first'\n" + GOOD + "required = false\n")


def test_samples_bring_their_own_times_and_values() -> None:
    text = GOOD + "[shape]\nkind = 'samples'\n"
    assert {code for _, code in faults(text)} == {"conflict"}
    assert {path.rpartition(": ")[2] for path, _ in faults(text)} == {"time", "fields", "input"}


def test_variables_are_filled_in_inside_source_only() -> None:
    text = (
        GOOD
        + "title = '${HOST:-none}'\n[source]\nurl = 'http://${HOST:-localhost:1}/x'\nheaders = { a = '${KEY:-}' }\n"
    )
    text = text.replace("title = '${HOST:-none}'\n", "")
    text = "title = '${HOST:-none}'\n" + text
    feed = load_feed(text, environment={"HOST": "meter.example"})
    assert feed.source is not None
    assert (feed.source.url, feed.source.headers, feed.title) == ("http://meter.example/x", {"a": ""}, "${HOST:-none}")
    default = load_feed(text)
    assert default.source is not None
    assert default.source.url == "http://localhost:1/x"


def test_text_that_looks_like_keys_inside_a_text_does_not_mislead_places() -> None:
    text = 'description = """\n[time]\nzone = 1\n"""\n' + GOOD + "requird = true\n"
    assert faults(text) == [("plant.toml:12: fields.power.requird", "unknown_key")]


@pytest.mark.parametrize(
    ("value", "code"), [('"a\\nb"', "control_character"), (f'"{"x" * 257}"', "too_long"), ('""', "empty")]
)
def test_a_fixed_tag_keeps_to_what_tags_of_records_keep_to(value: str, code: str) -> None:
    definition = f'name = "a"\ntime.path = "$.t"\nfields.v.path = "$.v"\ntags.site.value = {value}\n'
    assert faults(definition) == [("plant.toml:4: tags.site.value", code)]
    load_feed(definition.replace(value, f'"{"x" * 256}"'))
