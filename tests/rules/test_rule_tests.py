"""The tests of a feed are made ready once, and are its own."""

import msgspec

from tidemill.feeds.load import load_feed
from tidemill.rules import rule_tests

FEED = load_feed("""name = "p"
[time]
path = "$.t"
format = "unix_s"
[fields.v]
path = "$.v"
[[rules]]
check = "range"
options = { field = "v", max = 1 }
[[rules]]
check = "range"
action = "refuse"
reason = "far_off"
options = { field = "v", max = 1000 }
""")


def test_they_are_made_once_for_a_feed() -> None:
    assert rule_tests.feed_tests(FEED) is rule_tests.feed_tests(FEED)
    assert [test.code for test in rule_tests.feed_tests(FEED).all] == ["outside_range", "far_off"]
    assert [test.code for test in rule_tests.feed_tests(FEED, refusing=True).all] == ["far_off"]


def test_a_feed_never_gets_those_of_another() -> None:
    rule = FEED.rules[0]
    for limit in range(1_100):  # more than are kept; feeds that are gone leave their places in memory to others
        changed = msgspec.structs.replace(rule, options={"field": "v", "max": limit})
        found = rule_tests.feed_tests(msgspec.structs.replace(FEED, rules=(changed,)))
        assert f"{limit}" in found.all[0].detail
