"""The book compiles each version once and forgets what is current when told."""

import hashlib

import pytest

from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import FORMER_RECIPES, RECIPES, is_shipped_recipe
from tidemill.feeds.variables import VariableScope
from tidemill.model.feed_text import FeedRemoval, FeedText


class Texts:
    """Feed texts in memory, and how often they were asked for."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], list[FeedText]] = {}
        self.asked = 0
        for name, text in RECIPES.items():
            self.apply("default", name, text)

    def current(self, tenant: str, name: str) -> FeedText | None:
        self.asked += 1
        return self.kept.get((tenant, name), [None])[-1]

    def version(self, tenant: str, name: str, number: int) -> FeedText | None:
        self.asked += 1
        return next((text for text in self.kept.get((tenant, name), []) if text.version == number), None)

    def list(self, tenant: str) -> list[FeedText]:
        return [versions[-1] for (owner, _), versions in sorted(self.kept.items()) if owner == tenant]

    def removed(self, tenant: str) -> dict[str, FeedRemoval]:
        return {}

    def apply(self, tenant: str, name: str, text: str) -> FeedText:
        versions = self.kept.setdefault((tenant, name), [])
        found = FeedText(name, len(versions) + 1, text, hashlib.sha256(text.encode()).hexdigest(), 0)
        versions.append(found)
        return found


def test_current_is_compiled_once_and_carries_its_version() -> None:
    texts = Texts()
    book = FeedBook(texts, {})
    first = book.current("default", "location")
    assert first.version == 1
    assert book.current("default", "location") is first
    assert texts.asked == 1


def test_a_new_version_is_current_after_refresh_and_the_old_one_stays() -> None:
    texts = Texts()
    book = FeedBook(texts, {})
    book.current("default", "location")
    texts.apply("default", "location", RECIPES["location"].replace('"7d"', '"9d"'))
    assert book.current("default", "location").version == 1
    book.refresh()
    assert book.current("default", "location").retention.points == "9d"
    assert book.version("default", "location", 1).retention.points == "7d"
    assert book.version("default", "location", 2).version == 2


def test_what_is_not_there_is_not_found() -> None:
    book = FeedBook(Texts(), {})
    for ask in (
        lambda: book.current("default", "nope"),
        lambda: book.current("other", "location"),
        lambda: book.version("default", "location", 9),
    ):
        with pytest.raises(NotFoundError):
            ask()


def test_all_feeds_of_a_tenant_are_listed_by_name() -> None:
    assert [feed.name for feed in FeedBook(Texts(), {}).list("default")] == sorted(RECIPES)


def test_a_text_that_is_no_feed_says_which_version() -> None:
    texts = Texts()
    texts.apply("default", "bad", "name = 1")
    with pytest.raises(FeedDefinitionError, match=r"bad \(version 1\)"):
        FeedBook(texts, {}).current("default", "bad")


def test_a_text_that_is_no_feed_is_left_out_of_the_list() -> None:
    texts = Texts()
    texts.apply("default", "bad", RECIPES["location"].replace('name = "location"', 'name = "bad"\nx = 1'))
    assert [feed.name for feed in FeedBook(texts, {}).list("default")] == sorted(RECIPES)


def test_a_recipe_as_it_was_shipped_is_nobodys_own() -> None:
    for name, text in RECIPES.items():
        assert is_shipped_recipe(name, text, hashlib.sha256(text.encode()).hexdigest())
        assert hashlib.sha256(text.encode()).hexdigest() not in FORMER_RECIPES
        assert not is_shipped_recipe(name, f"{text}\n# mine", hashlib.sha256(f"{text}\n# mine".encode()).hexdigest())


def test_what_sources_may_read_is_asked_by_tenant_and_again_once_it_is_forgotten() -> None:
    texts, values = Texts(), {"a": "http://a/", "b": "http://b/"}
    for tenant in values:
        texts.apply(tenant, "telemetry", RECIPES["telemetry"])
    book = FeedBook(texts, scope_of=lambda tenant: VariableScope({"TIDEMILL_TELEMETRY_URL": values[tenant]}))

    def url(tenant: str) -> str:
        source = book.current(tenant, "telemetry").source
        return source.url if source else ""

    assert (url("a"), url("b")) == ("http://a/", "http://b/")
    values["a"] = ""
    book.refresh()
    assert url("a") == "http://a/", "a version is compiled once"
    book.clear_compiled()
    assert (url("a"), url("b")) == ("", "http://b/")
