"""`duplicates_by`: what a feed may compare, and what it is told otherwise."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES

FEED = """\
name = "walks"
{top}
[time]
path = "$.at"
{time}
[fields.lat]
path = "$.lat"
{more}
"""
BOTH = 'duplicates = "first"\nduplicates_by = ["time", "local_time"]'
ZONED = 'offset = "optional"\nzone = "Europe/Zurich"'


def load(top: str = BOTH, time: str = ZONED, more: str = "") -> bool:
    return load_feed(FEED.format(top=top, time=time, more=more)).compares_local_times


def test_a_feed_compares_instants_unless_it_says_more() -> None:
    assert load()
    assert not load('duplicates = "first"')
    assert not load('duplicates = "first"\nduplicates_by = ["time"]')
    assert not load("")
    assert load_feed(RECIPES["location"]).compares_local_times


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"top": 'duplicates_by = ["time", "local_time"]'}, "needs duplicates = 'first'"),
        ({"top": 'duplicates = "first"\nduplicates_by = ["local_time"]'}, "name 'time', too"),
        ({"time": ""}, "name their zone"),
        (
            {"more": '[[rules]]\ncheck = "spike"\naction = "flag"\noptions = { field = "lat" }'},
            "earlier records",
        ),
    ],
)
def test_what_cannot_be_compared_is_told(changed: dict[str, str], says: str) -> None:
    with pytest.raises(FeedDefinitionError) as raised:
        load(**changed)
    faults = {fault.path.split(" ")[-1]: fault.message for fault in raised.value.faults}
    assert says in faults["duplicates_by"], faults


def test_registers_and_unknown_words_are_refused() -> None:
    with pytest.raises(FeedDefinitionError, match="fields"):
        load(more='[registers]\nexcept_keys = ["at"]')
    with pytest.raises(FeedDefinitionError, match="sent_time"):
        load('duplicates = "first"\nduplicates_by = ["time", "sent_time"]')
