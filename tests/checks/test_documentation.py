"""Every check says what it means, names its options, and has an example that a feed takes."""

import re

import pytest

from tidemill.checks.check import HistoryCheck
from tidemill.checks.describe import example, meaning, options
from tidemill.checks.library import OURS, checks
from tidemill.feeds.load import load
from tidemill.rules.reasons import REASONS

FEED = """name = "p"
[time]
path = "$.time"
[tags.site]
path = "$.site"
[tags.pump]
path = "$.pump"
[tags.serial]
path = "$.serial"
[tags.device]
path = "$.device"
[attributes.quality]
path = "$.quality"
[fields.temperature]
path = "$.temperature"
[fields.energy]
path = "$.energy"
[labels]
path = "$.labels"
"""


@pytest.mark.parametrize("check", OURS, ids=lambda check: check.name)
def test_the_example_of_every_check_is_a_rule_that_loads(check: type) -> None:
    feed = load(f"{FEED}{example(check)}")
    [rule] = feed.rules
    made = rule.compiled()
    assert isinstance(made, check)
    assert made.explain()
    assert isinstance(made, HistoryCheck) or made.broken().meta.root_names()


def test_every_check_has_a_meaning_a_reason_and_a_name_of_its_own() -> None:
    assert checks().keys() >= {check.name for check in OURS}
    assert len({check.name for check in OURS}) == len(OURS)
    for check in OURS:
        assert re.fullmatch("[a-z][a-z0-9_]*", check.name), check
        assert check.reason in REASONS
        assert meaning(check).endswith(".")


@pytest.mark.parametrize("check", OURS, ids=lambda check: check.name)
def test_every_option_says_what_it_means(check: type) -> None:
    for option in options(check):
        assert option.meaning, option.name
        assert "Annotated" not in option.type
        assert option.required == (option.default is None and option.required)
