"""What was asked for is part of the data: tags, paths of items, and feeds whose records nothing tells apart."""

import json

import pytest

from tests.sources.conftest import until
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.feeds.revise import check_revision
from tidemill.model.payload import LogEntry, Payload, format_with_tags, split_format
from tidemill.rules.apply import apply_rules
from tidemill.rules.shape import shape_points
from tidemill.sources.source_spec import compile_specs

FEED = """
name = "plant"
[input]
records = "$.rows"
[time]
path = "$.at"
[tags.meter]
value = "{meter}"
[tags.site]
value = "north/{site}"
required = false
[fields.level]
path = "$.level"
"""
SOURCE = """
[source]
url = "URL/units/{meter}/levels"
every = "30ms"
allow = ["127.0.0.0/8"]
each = { meter = "m/1, m2", lang = "en" }
"""
BODY = json.dumps({"rows": [{"at": "2026-01-01T00:00:00Z", "level": 1}]}).encode()


def series(feed, entries):
    """The tags of each series that payloads become, with the number of its points."""
    batch = Decoder(feed).decode_batch(
        [
            LogEntry(seq, Payload("", "t", feed.name, 1, 0, form, body, b""))
            for seq, (form, body) in enumerate(entries, 1)
        ]
    )
    shaped = shape_points(feed, "t", apply_rules(feed, batch), batch)
    counts = dict(shaped.points.group_by("series").len().iter_rows())
    found = shaped.series.to_dicts()
    assert len(found) == len({row["series"] for row in found})
    tags = {tuple((tag["key"], tag["value"]) for tag in row["tags"]): counts[row["series"]] for row in found}
    return tags, shaped.rejections["detail"].to_list()


def test_items_become_tags_over_a_real_server(web, polling, intake):
    text = FEED.replace('value = "north/{site}"', 'value = "north"') + SOURCE
    with web.answering(lambda request: (200, {}, BODY)) as url:
        feed = load_feed(text.replace("URL", url))
        with polling(feed):
            until(lambda: len({request.path for request in web.requests}) == 2 and len(intake.bodies()) > 3)
    assert {(request.path, request.query["lang"]) for request in web.requests} == {
        ("/units/m/1/levels", "en"),  # percent-encoded on its way
        ("/units/m2/levels", "en"),
    }
    payloads = [entry.payload for entry in intake.log.read(0, 5000, 1 << 20)]
    forms = {split_format(payload.format)[1]["meter"] for payload in payloads}
    assert forms == {"m/1", "m2"}
    found, rejected = series(feed, [(format_with_tags("json", {"meter": "m/1"}), BODY), ("json;meter=m2", BODY)])
    assert found == {(("meter", "m/1"), ("site", "north")): 1, (("meter", "m2"), ("site", "north")): 1}
    assert rejected == []


def test_a_window_can_be_a_tag_and_only_what_tags_need_is_kept(web, polling, intake):
    text = FEED.replace('value = "north/{site}"', 'value = "of {start}"').replace('"{meter}"', '"fixed"') + SOURCE
    text = text.replace("[source]", '[source]\nparams = { from = "{start}", to = "{stop}" }')
    text += '[source.window]\nstart = "2020-01-01T00:00:00Z"\nsize = "36500d"\nformat = "date"'
    with web.answering(lambda request: (200, {}, BODY)) as url, polling(load_feed(text.replace("URL", url))):
        until(intake.bodies)
    (form, *_) = [entry.payload.format for entry in intake.log.read(0, 5000, 1 << 20)]
    assert split_format(form) == ("application/json", {"start": "2020-01-01"})


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_payloads_of_many_items_are_decoded_together(form):
    feed = load_feed(FEED + SOURCE.replace("URL", "http://x").replace("lang", "site"))
    body = BODY if form == "json" else b'{"at": "2026-01-01T00:00:00Z", "level": 1}\n' * 2
    entries = [(format_with_tags(form, {"meter": f"m{n % 3}", "site": "a;b&c"}), body) for n in range(40)]
    entries += [(f"{form};meter=m1", body.replace(b"1}", b"NaN}")), (form, body)]
    found, rejected = series(feed, entries)
    per = 1 if form == "json" else 2
    assert found == {(("meter", f"m{n}"), ("site", "north/a;b&c")): per * len(range(n, 40, 3)) for n in range(3)}
    assert len([one for one in rejected if "not fetched by a source that asked with it" in one]) == 1


def test_binary_records_have_given_tags_too():
    text = """
name = "packed"
[input]
formats = ["binary"]
[input.layout]
record_bytes = 2
[time]
format = "received"
[tags.meter]
value = "{meter}"
max_length = 4
[fields.level]
at = 0
type = "int16_le"
"""
    feed = load_feed(text + SOURCE.replace("URL", "http://x").replace("{lang}", ""))
    entries = [("binary;meter=m1", bytes(4)), ("binary;meter=m2", bytes(2)), ("binary", bytes(2))]
    found, rejected = series(feed, [*entries, ("binary;meter=m12345", bytes(2)), ("binary;meter=m1", bytes(2))])
    assert found == {(("meter", "m1"),): 3, (("meter", "m2"),): 1}
    assert ["was not fetched" in rejected[0], "has 6 characters" in rejected[1]] == [True, True]


def test_a_pushed_payload_lacks_what_nobody_asked_for():
    decoder = Decoder(load_feed(FEED + SOURCE.replace("URL", "http://x").replace("lang", "site")))
    (fault,) = decoder.check_payload(BODY, "json", 0)
    assert (fault.path, fault.code) == ("$", "missing") and "'meter'" in fault.message
    assert decoder.check_payload(BODY, "json;meter=m1", 0) == ()


@pytest.mark.parametrize(
    ("change", "key", "hint"),
    [
        (('[tags.meter]\nvalue = "{meter}"\n', ""), "source.each.meter", '[tags.meter] with value = "{meter}"'),
        (('value = "{meter}"', 'value = "{metre}"'), "tags.meter.value", "nothing is asked for as {metre}"),
        (('value = "{meter}"', 'value = "x"\npath = "$.m"'), "tags.meter.path", "stands in no record"),
        (('value = "{meter}"', 'value = ""'), "tags.meter.value", "a tag is a text"),
        (("meter =", "start ="), "source.each.start", "has a meaning"),
        ((SOURCE, ""), "tags.meter.value", "this feed has none"),
    ],
)
def test_check_refuses_what_cannot_be_told_apart(change, key, hint):
    text = FEED.replace('[tags.site]\nvalue = "north/{site}"\nrequired = false\n', "") + SOURCE
    text = text.replace(*change).replace("URL", "http://x")
    with pytest.raises(FeedDefinitionError) as refused:
        check_revision(text, "plant", None, source="feed.toml")
    assert any(f": {key}" in fault.path and hint in fault.message for fault in refused.value.faults)


def test_a_stored_feed_that_tells_nothing_apart_is_read_as_before():
    text = (FEED.split("[tags.meter]", maxsplit=1)[0] + "[fields.level]\npath = '$.level'\n" + SOURCE).replace(
        "URL", "http://x"
    )
    assert [pull.item for pull in compile_specs("t", load_feed(text))] == ["meter=m/1,lang=en", "meter=m2,lang=en"]
    check_revision(text.replace("m/1, m2", "m2"), "plant", None, source="feed.toml")
    check_revision(text + "[tags.who]\npath = '$.who'", "plant", None, source="feed.toml")
