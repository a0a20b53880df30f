"""Compiled feed definitions by tenant and name. Texts come from the catalog; each version is compiled once and cached.

Thread-safe. A cache hit costs two dictionary look-ups. A version never changes, so only the choice of the current
version can become stale; `refresh` (called by whoever watches the catalog) drops that choice.
"""

import logging
import threading
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from tidemill.checks.library import checks_by_name
from tidemill.errors import FeedDamagedError, FeedDefinitionError, FeedRemovedError, NotFoundError
from tidemill.feeds.definition import Feed
from tidemill.feeds.fill import changed_files
from tidemill.feeds.formats import known_formats
from tidemill.feeds.load import load_feed
from tidemill.feeds.source import FilledSource
from tidemill.feeds.variables import AS_WRITTEN, VariableScope
from tidemill.model.feed_text import FeedRemoval, FeedText
from tidemill.model.time import format_instant

log = logging.getLogger(__name__)


def missing_feed(name: str) -> NotFoundError:
    """The error for a feed that the tenant does not have. Its message names no other: looking for one costs a read."""
    return NotFoundError(f"there is no feed '{name[:100]}'; GET /v1/feeds lists those that there are")


class FeedTexts(Protocol):
    """Stores feed texts. Reads may touch a disk; `apply` is durable on return."""

    def current(self, tenant: str, name: str) -> FeedText | None:
        """The newest version, with the removal of a removed feed; None where there never was one."""

    def version(self, tenant: str, name: str, number: int) -> FeedText | None:
        """One version, or None."""

    def list(self, tenant: str) -> list[FeedText]:
        """The newest version of every feed of a tenant that is not removed, by name."""

    def removed(self, tenant: str) -> Mapping[str, FeedRemoval]:
        """The removed feeds of a tenant, by name."""

    def apply(self, tenant: str, name: str, text: str) -> FeedText:
        """Keep a text as the next version; the same text as the current one makes no new version."""


class FeedBook:
    """Compiled feeds over a `FeedTexts`.

    A process that polls gives `scope_of`: the variables and files that the sources of a tenant may read. For all other
    processes `environment` fills `${NAME}` of sources (default: a reference stays as it is written, so a [source] that
    cannot be polled affects nothing else). Without `with_sources` feeds have no [source]."""

    def __init__(
        self,
        texts: FeedTexts,
        environment: Mapping[str, str] = AS_WRITTEN,
        *,
        with_sources: bool = True,
        scope_of: Callable[[str], VariableScope] | None = None,
    ) -> None:
        self._texts = texts
        self._with_sources = with_sources
        self._scope_of = scope_of or (lambda _tenant: VariableScope(environment))
        self._current: dict[tuple[str, str], Feed] = {}
        self._newest: dict[tuple[str, str], Feed] = {}  # also of removed feeds
        self._removed: dict[str, frozenset[str]] = {}
        self._versions: dict[tuple[str, str, int], Feed] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def without_sources(self) -> "FeedBook":
        """Another book of the same texts whose feeds have no [source]; it has its own cache and `refresh`."""
        return FeedBook(self._texts, with_sources=False)

    def cached(self, tenant: str, name: str) -> Feed | None:
        """The feed in force if it is in the cache; reads nothing. None does not mean that there is no such feed."""
        return self._current.get((tenant, name))

    def current(self, tenant: str, name: str) -> Feed:
        """The feed in force, for whoever takes in data. Raises NotFoundError when the tenant has none of that name,
        FeedRemovedError when it was removed."""
        feed = self._current.get((tenant, name))
        if feed is not None:
            return feed
        generation = self._generation
        text = self._texts.current(tenant, name)
        if text is None:
            raise missing_feed(name)
        if text.removal is not None:
            raise removed_error(name, text.removal)
        return self._cache_current(tenant, text, generation)

    def newest(self, tenant: str, name: str) -> Feed:
        """The newest version of a feed, also of a removed one, for whoever reads or keeps its data. Raises
        NotFoundError when the tenant never had one of that name."""
        feed = self._newest.get((tenant, name)) or self._current.get((tenant, name))
        if feed is not None:
            return feed
        generation = self._generation
        text = self._texts.current(tenant, name)
        if text is None:
            raise NotFoundError(f"there is no feed '{name[:100]}'")
        feed = self._compile(tenant, text)
        with self._lock:
            if generation == self._generation:
                self._newest[tenant, name] = feed
        return feed

    def removed(self, tenant: str) -> frozenset[str]:
        """The names of a tenant's removed feeds. Read once, until `refresh`."""
        names = self._removed.get(tenant)
        if names is None:
            generation = self._generation
            names = frozenset(self._texts.removed(tenant))
            with self._lock:
                if generation == self._generation:
                    self._removed[tenant] = names
        return names

    def version(self, tenant: str, name: str, number: int) -> Feed:
        """One version of a feed. Raises NotFoundError when there is none."""
        feed = self._versions.get((tenant, name, number))
        if feed is not None:
            return feed
        text = self._texts.version(tenant, name, number)
        if text is None:
            raise NotFoundError(f"there is no version {number} of a feed '{name[:100]}'")
        return self._compile(tenant, text)

    def list(self, tenant: str) -> list[Feed]:
        """Every feed of a tenant, by name. A feed that cannot be read, for instance because the plug-in that it names
        is not installed any more, is logged as an error and left out; it does not affect the others."""
        generation = self._generation
        feeds = []
        for text in self._texts.list(tenant):
            try:
                feeds.append(self._cache_current(tenant, text, generation))
            except FeedDefinitionError as error:
                log.error("feed '%s' of tenant '%s' cannot be read: %s", text.name, tenant, error.message)
        return feeds

    def missing_plugins(self, tenant: str) -> dict[str, tuple[str, ...]]:
        """Feed name -> the plug-ins that some version of the feed needs and that are not installed; only feeds with
        such plug-ins. A version whose stored text is damaged is passed over."""
        missing = {}
        for newest in self._texts.list(tenant):
            absent: dict[str, None] = {}
            for number in range(1, newest.version + 1):
                with suppress(FeedDamagedError):  # what a damaged text needs is unknown
                    text = self._texts.version(tenant, newest.name, number)
                    absent |= dict.fromkeys(_missing_plugins(text.text) if text else ())
            if absent:
                missing[newest.name] = tuple(absent)
        return missing

    def has_feed(self, tenant: str, name: str) -> bool:
        """Whether a tenant has or had a feed of that name, including a feed that cannot be read."""
        return self._texts.current(tenant, name) is not None

    def check_in_force(self, tenant: str, name: str) -> None:
        """Raises NotFoundError or FeedRemovedError as `current`, and nothing for a feed that cannot be read."""
        text = self._texts.current(tenant, name)
        if text is None:
            raise NotFoundError(f"there is no feed '{name[:100]}'")
        if text.removal is not None:
            raise removed_error(name, text.removal)

    def refresh(self) -> None:
        """Drop which version of each feed is current; the next call of `current` or `list` reads it again."""
        with self._lock:
            self._generation += 1
            self._current, self._newest, self._removed = {}, {}, {}

    def clear_compiled(self) -> None:
        """Drop every compiled version, so that the next use compiles it again: what sources may read has changed."""
        with self._lock:
            self._generation += 1
            self._current, self._newest, self._versions = {}, {}, {}

    def renew_secrets(self) -> bool:
        """Drop the feeds in force whose secrets came from files with a different text by now, so that the next use
        compiles them again. Returns whether there are any. Reads these files."""
        stale = []
        for (tenant, name), feed in list(self._current.items()):
            files = dict(feed.source.files) if isinstance(feed.source, FilledSource) else {}
            folder = self._scope_of(tenant).secrets_folder if files else None
            if folder is not None and changed_files(files, folder):
                stale.append((tenant, name, feed.version))
        with self._lock:
            for tenant, name, version in stale:
                self._generation += 1
                self._current.pop((tenant, name), None)
                self._newest.pop((tenant, name), None)
                self._versions.pop((tenant, name, version), None)
        return bool(stale)

    def _cache_current(self, tenant: str, text: FeedText, generation: int) -> Feed:
        feed = self._compile(tenant, text)
        with self._lock:
            if generation == self._generation:  # else the text may be older than the change that `refresh` announced
                self._current[tenant, text.name] = feed
        return feed

    def _compile(self, tenant: str, text: FeedText) -> Feed:
        key = (tenant, text.name, text.version)
        feed = self._versions.get(key)
        if feed is None:
            generation = self._generation
            scope = self._scope_of(tenant)
            feed = load_feed(
                text.text,
                source=f"{text.name} (version {text.version})",
                environment=scope.variables,
                with_source=self._with_sources,
                secrets_folder=scope.secrets_folder,
            )
            feed = msgspec.structs.replace(feed, version=text.version)
            with self._lock:
                if generation == self._generation:  # else it may hold secrets that must not be read any more
                    self._versions[key] = feed
        return feed


def removed_error(name: str, removal: FeedRemoval) -> FeedRemovedError:
    """The error of a request that needs a feed that was removed."""
    data = "its data was deleted"
    if removal.data == "keep":
        data = "its data was kept, and its series, receipts and rejections can be read"
    when = format_instant(removal.removed_ns)
    return FeedRemovedError(
        f"The feed '{name[:100]}' was removed at {when}; {data}. Apply a definition to use it again."
    )


def _missing_plugins(text: str) -> tuple[str, ...]:
    """The decoders and checks that a feed's text names and no installed package offers, such as `decoder 'key-value'`
    and `rule 'dew_point'`, each once; () for a text that is not TOML."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    table = data.get("input")
    formats = _strings(table.get("formats")) if isinstance(table, dict) else []
    rules = data.get("rules")
    named = _strings([rule.get("check") for rule in rules if isinstance(rule, dict)]) if isinstance(rules, list) else []
    absent = [f"decoder '{name}'" for name in formats if name not in known_formats()]
    absent += [f"rule '{name}'" for name in named if name not in checks_by_name()]
    return tuple(dict.fromkeys(absent))


def _strings(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
