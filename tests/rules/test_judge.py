"""A test of tags alone is asked once for each set of tags, and says of each record what it would say of it alone."""

import json
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import RECEIVED_NS, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.model.time import NS_PER_S
from tidemill.rules import rule_tests
from tidemill.rules.apply import add_hits, apply_rules

FEED = """name = "p"
[time]
path = "$.t"
format = "unix_s"
[tags.site]
path = "$.site"
required = false
[tags.unit]
path = "$.unit"
required = false
"""
RULES = """
[fields.v]
path = "$.v"
[[rules]]
check = "one_of"
options = { tag = "site", values = ["a", "b"] }
[[rules]]
check = "required"
options = { tag = "unit" }
[[rules]]
check = "expression"
reason = "mixed"
options = { holds = "v > 1 or tag.site == 'a'" }
[[rules]]
check = "expression"
reason = "tags_only"
options = { holds = "tag.site != tag.unit" }
"""
TAGGED = load_feed(FEED + RULES)
NOW_S = RECEIVED_NS // NS_PER_S
text = st.sampled_from(["a", "b", "c", None])


def expected(record: dict[str, Any]) -> list[str]:
    site, unit = record["site"], record["unit"]
    found = {
        "not_allowed": site == "c",
        "missing": unit is None,
        "mixed": record["v"] <= 1 and site in ("b", "c"),
        "tags_only": site is not None and site == unit,
    }
    return [reason for reason, broken in found.items() if broken]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.fixed_dictionaries({"site": text, "unit": text, "v": st.integers(0, 3)}), min_size=1, max_size=20))
def test_records_of_one_set_of_tags_are_judged_alike(records: list[dict[str, Any]]) -> None:
    bodies = [json.dumps({"t": NOW_S, **{k: v for k, v in one.items() if v is not None}}).encode() for one in records]
    batch = Decoder(TAGGED).decode_batch([logged(seq, body, "p") for seq, body in enumerate(bodies)])
    found = dict(apply_rules(TAGGED, batch).rejections.select("seq", "reasons").rows())
    assert found == {seq: reasons for seq, one in enumerate(records) if (reasons := expected(one))}


def test_only_the_columns_that_tests_name_are_laid_out() -> None:
    batch = Decoder(TAGGED).decode_batch(
        [logged(1, json.dumps({"t": NOW_S, "site": "a", "unit": "b", "v": 1}).encode(), "p")]
    )
    looked_at = add_hits(TAGGED, batch.frame.with_columns(time=pl.col("wall_ns")), batch, rule_tests.feed_tests(TAGGED))
    assert "t.site" in looked_at.columns
    assert "t.unit" not in looked_at.columns


def test_an_expression_looks_at_registers() -> None:
    feed = load_feed(
        FEED
        + """
[registers]
except_keys = ["t", "site", "unit"]
[[rules]]
check = "expression"
options = { holds = "`0100011D00FF` + b < 5 or not exists(b)" }
"""
    )
    values = [{"0100011D00FF": 1, "b": 2}, {"0100011D00FF": 4, "b": 2}, {"0100011D00FF": 9}, {"b": 9}]
    bodies = [json.dumps({"t": NOW_S, **value}).encode() for value in values]
    checked = apply_rules(feed, Decoder(feed).decode_batch([logged(seq, body, "p") for seq, body in enumerate(bodies)]))
    assert checked.rejections.select("seq", "reasons").rows() == [(1, ["does_not_hold"])]
