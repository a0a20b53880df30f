"""Small helpers of the query tests: questions as a client would put them, and answers read back."""

import json
from typing import Any

from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.feeds.recipes import RECIPES
from tidemill.model.feed_text import FeedRemoval, FeedText
from tidemill.model.payload import LogEntry
from tidemill.model.time import parse_instant
from tidemill.query.answers import Page
from tidemill.query.parameters import Q, read_query
from tidemill.query.queries import Queries
from tidemill.store.client import Store

START = parse_instant("2026-01-01T00:00:00Z")
SECOND = 10**9


class EmptyLog:
    """A log that keeps nothing any more, or `waiting` only."""

    def __init__(self, *waiting: LogEntry) -> None:
        self._waiting = waiting

    @property
    def partitions(self) -> "tuple[EmptyLog, ...]":
        return (self,)

    def read(self, after: int, max_count: int, max_bytes: int) -> list[LogEntry]:
        return [entry for entry in self._waiting if entry.seq > after]

    def find(self, tenant: str, receipt: str) -> LogEntry | None:
        return None


class Texts:
    """Feed texts that have the recipes, and `more`, in every version."""

    def __init__(self, **more: str) -> None:
        self._texts = {**RECIPES, **more}

    def current(self, tenant: str, name: str) -> FeedText | None:
        return self.version(tenant, name, 3)

    def version(self, tenant: str, name: str, number: int) -> FeedText | None:
        text = self._texts.get(name)
        return None if text is None else FeedText(name, number, text, "", 0)

    def list(self, tenant: str) -> list[FeedText]:
        return [FeedText(name, 3, text, "", 0) for name, text in self._texts.items()]

    def removed(self, tenant: str) -> dict[str, FeedRemoval]:
        return {}

    def apply(self, tenant: str, name: str, text: str) -> FeedText:
        raise NotImplementedError


def book(**more: str) -> FeedBook:
    return FeedBook(Texts(**more))


def ns(text: str) -> int:
    return parse_instant(text)


def asked(kind: type[Q], feed: Feed | None = None, /, **given: str) -> Q:
    """Parameters as a request gives them (below a feed, if one is given); `tag__user_id` stands for `tag.user_id`."""
    return read_query(
        [(name.replace("__", "."), text) for name, text in given.items()], kind, feed.tags if feed else ()
    )


def queries(store: Store, log: Any = None, **options: Any) -> Queries:
    return Queries(store, log or EmptyLog(), options.pop("book", None) or book(), **options)


def whole(page: Page) -> bytes:
    return page.body if isinstance(page.body, bytes) else b"".join(page.body)


def document(page: Page) -> Any:
    return json.loads(whole(page))
