"""Every example of the page on paths gives the points that it shows, and every form of a path is in an example."""

import re
from pathlib import Path

import polars as pl
import pytest

from tests.support.payloads import logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.feeds.revise import check_revision
from tidemill.rules.time import resolve_times

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "paths.md").read_text("utf-8")
_EXAMPLE = re.compile(r"## ([^\n]+)\n\n```toml\n(.*?)```\n```json\n(.*?)```\n```text\n(.*?)```", re.DOTALL)
EXAMPLES = {match[1]: match.groups()[1:] for match in _EXAMPLE.finditer(PAGE)}


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_gives_what_it_shows(title: str) -> None:
    definition, payload, points = EXAMPLES[title]
    text = f'name = "example"\n{definition}'
    check_revision(text, "example", None, source="feed.toml")
    feed, body = load_feed(text), payload.strip().encode()
    decoder = Decoder(feed)
    assert decoder.check_payload(body, "json", 0) == ()
    batch = decoder.decode_batch([logged(1, body, "example")])
    frame = resolve_times(feed, batch.frame)
    tags = batch.identities["tags"].to_list()
    shown = []
    for row in frame.iter_rows(named=True):
        time = str(pl.Series([row["time"]]).cast(pl.Datetime("ns", "UTC")).dt.to_string("%FT%T%.f")[0]) + "Z"
        named = [f"{tag['key']}={tag['value']}" for tag in tags[row["identity"]]]
        values = [f"{name[2:]}={value}" for name, value in sorted(row.items()) if name.startswith("f.")]
        shown.append(" ".join([time, *named, *values]))
    assert sorted(shown) == points.strip().splitlines()


def test_every_form_is_in_an_example() -> None:
    definitions = "".join(definition for definition, _, _ in EXAMPLES.values())
    for form in ('"$"', "$.", "['", "$[1]", '"$^.', '"$^^.', '"$~"', '"$^~"', "[*]", ".*"):
        assert form in definitions
