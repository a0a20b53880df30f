"""Checks of other packages: used like ours, and whatever is wrong with one is a fault of the feed that names it."""

import logging
import sys
from collections.abc import Iterator

import pytest

from tests.support.payloads import logged
from tidemill import plugins
from tidemill.api.rules import rules_by_name
from tidemill.checks.library import checks_by_name, unusable_checks
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.rules.apply import apply_rules

PACKAGE = '''
import polars as pl
from tidemill.checks.check import Check


class Even(Check, frozen=True):
    """The value of `field` is even."""

    reason = "even"
    field: str

    def broken(self):
        return pl.col(f"f.{self.field}") % 2 == 0

    def explain(self):
        return f"{self.field} is even"


class Fails(Even, frozen=True):
    at: str

    def __post_init__(self):
        if self.at == "made":
            raise OSError("no licence")

    def faults(self, columns):
        return 1 / 0 if self.at == "faults" else []

    def explain(self):
        if self.at == "explain":
            raise KeyError("text")
        return 5 if self.at == "number" else "it fails"

    def broken(self):
        value = pl.col(f"f.{self.field}")
        return {
            "broken": lambda: [][0],
            "column": lambda: pl.col("f.other") > 1,
            "values": lambda: pl.col("t.site").str.to_integer() > 1,
            "called": lambda: value.map_elements(lambda one: [][0], return_dtype=pl.Boolean),
            "kind": lambda: value + 1,
            "several": lambda: pl.lit(pl.Series([True, False, True])),
        }.get(self.at, lambda: value > 1)()


class Unreasoned(Check, frozen=True):
    """It has no reason."""


class BadReason(Even, frozen=True):
    reason = "Not a code"


def function():
    """No class at all."""


class Range(Even, frozen=True):
    """Wants to be ours."""
'''
ENTRIES = """[tidemill.rules]
even = odd_package:Even
fails = odd_package:Fails
unreasoned = odd_package:Unreasoned
bad_reason = odd_package:BadReason
function = odd_package:function
Bad-Name = odd_package:Even
range = odd_package:Range
nowhere = odd_package:Nowhere
"""
FEED = """name = "p"
[time]
path = "$.t"
format = "unix_s"
[tags.site]
path = "$.site"
[fields.v]
path = "$.v"
[[rules]]
check = "{check}"
options = {{ {options} }}
"""


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An installed package: its module, and its entry points in its metadata."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "odd_package.py").write_text(PACKAGE)
    info = folder / "odd_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    caches = (plugins.load_plugins, checks_by_name, unusable_checks, rules_by_name)
    sys.path.insert(0, str(folder))
    for cache in caches:
        cache.cache_clear()
    yield
    sys.path.remove(str(folder))
    for cache in caches:
        cache.cache_clear()


def refused(check: str, options: str) -> str:
    with pytest.raises(FeedDefinitionError) as caught:
        load_feed(FEED.format(check=check, options=options))
    return str(caught.value)


def test_a_check_of_another_package_is_one_of_ours() -> None:
    feed = load_feed(FEED.format(check="even", options='field = "v"'))
    bodies = [b'{"t": 1700000000, "site": "a", "v": %d}' % value for value in (1, 2, 3)]
    checked = apply_rules(feed, Decoder(feed).decode_batch([logged(seq, body, "p") for seq, body in enumerate(bodies)]))
    assert checked.rejections.select("seq", "reasons").rows() == [(1, ["even"])]
    assert (rules_by_name()["even"].kind, rules_by_name()["even"].meaning) == (
        "plugin",
        "The value of `field` is even.",
    )


def test_our_names_stay_ours() -> None:
    assert checks_by_name()["range"].__module__.startswith("tidemill.")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("made", "cannot be made: OSError: no licence"),
        ("faults", "cannot look at its options: ZeroDivisionError"),
        ("explain", "cannot explain itself: KeyError"),
        ("number", "must explain itself with a text"),
        ("broken", "cannot be evaluated: IndexError"),
        ("column", "cannot be evaluated: ColumnNotFoundError"),
        ("values", "cannot be evaluated: "),
        ("called", "cannot be evaluated: "),
        ("kind", "must answer true, false or null"),
        ("several", "must answer true, false or null"),
    ],
)
def test_a_check_that_would_fail_is_a_fault_of_the_feed(at: str, words: str) -> None:
    told = refused("fails", f'field = "v", at = "{at}"')
    assert f"feed.toml:11: rules.0.options: fails: {words}" in told
    assert "1 fault" in told


def test_options_that_do_not_fit_are_a_fault() -> None:
    assert "the option 'at' is missing" in refused("fails", 'field = "v"')


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unreasoned", "it needs a reason"),
        ("bad_reason", "it needs a reason"),
        ("function", "it is no class derived from"),
        ("Bad-Name", "its name must be"),
        ("nowhere", "unknown check 'nowhere'"),
    ],
)
def test_what_is_no_check_says_so(name: str, words: str) -> None:
    assert words in refused(name, "")
    assert name not in checks_by_name()


def test_what_is_no_check_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    unusable_checks.cache_clear()
    with caplog.at_level(logging.ERROR):
        assert set(unusable_checks()) == {"unreasoned", "bad_reason", "function", "Bad-Name"}
    assert "function (tidemill.rules) cannot be used" in caplog.text
