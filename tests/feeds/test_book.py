"""The book compiles each version once and forgets what is current when told."""

import hashlib

import pytest

from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import RECIPES
from tidemill.model.feed_text import FeedText


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
