"""The feed definitions in force, by tenant and name: texts come from the catalog, are compiled once and kept.

Thread-safe. A hit costs two dictionary look-ups. Versions never change, so only `current` can go stale; `refresh`
(called by whoever watches the catalog) forgets it.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import msgspec

from tidemill.errors import FeedDamagedError, FeedDefinitionError, NotFoundError
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load
from tidemill.feeds.missing import missing_plugins
from tidemill.feeds.variables import AS_WRITTEN, VariableScope
from tidemill.model.feed_text import FeedText

log = logging.getLogger(__name__)


class FeedTexts(Protocol):
    """Where feed texts are kept. Reads may touch a disk; `apply` is durable on return."""

    def current(self, tenant: str, name: str) -> FeedText | None:
        """The newest version, or None."""

    def version(self, tenant: str, name: str, number: int) -> FeedText | None:
        """One version, or None."""

    def list(self, tenant: str) -> list[FeedText]:
        """The newest version of every feed of a tenant, by name."""

    def apply(self, tenant: str, name: str, text: str) -> FeedText:
        """Keep a text as the next version; the same text as the current one makes no new version."""


class FeedBook:
    """Compiled feeds over a `FeedTexts`. Who polls gives `reach`, what the sources of a tenant may read; for others
    `environment` fills `${NAME}` of sources (default: a reference stays as it is written, and a [source] that could not
    be polled hinders nothing else). Without `with_sources` feeds have no [source]."""

    def __init__(
        self,
        texts: FeedTexts,
        environment: Mapping[str, str] = AS_WRITTEN,
        *,
        with_sources: bool = True,
        reach: Callable[[str], VariableScope] | None = None,
    ) -> None:
        self._texts = texts
        self._with_sources = with_sources
        self._reach = reach or (lambda _tenant: VariableScope(environment))
        self._current: dict[tuple[str, str], Feed] = {}
        self._versions: dict[tuple[str, str, int], Feed] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def without_sources(self) -> "FeedBook":
        """Another book of the same texts for who polls nothing; it is refreshed by itself."""
        return FeedBook(self._texts, with_sources=False)

    def known(self, tenant: str, name: str) -> Feed | None:
        """The feed in force where it is compiled and at hand: reads nothing, takes no time. None says nothing."""
        return self._current.get((tenant, name))

    def current(self, tenant: str, name: str) -> Feed:
        """The feed in force. Raises NotFoundError when the tenant has none of that name."""
        feed = self._current.get((tenant, name))
        if feed is not None:
            return feed
        generation = self._generation
        text = self._texts.current(tenant, name)
        if text is None:
            raise NotFoundError(f"there is no feed '{name[:100]}'")
        return self._remember(tenant, text, generation)

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
        """Every feed of a tenant, by name. One that cannot be read, for instance because the plug-in that it names is
        not installed any more, is reported and left out: the others are as they were."""
        generation = self._generation
        found = []
        for text in self._texts.list(tenant):
            try:
                found.append(self._remember(tenant, text, generation))
            except FeedDefinitionError as error:
                log.error("feed '%s' of tenant '%s' cannot be read: %s", text.name, tenant, error.message)
        return found

    def missing(self, tenant: str) -> dict[str, tuple[str, ...]]:
        """The feeds of a tenant of which some version needs a plug-in that is not installed, and these plug-ins."""
        found = {}
        for newest in self._texts.list(tenant):
            absent: dict[str, None] = {}
            for number in range(1, newest.version + 1):
                with suppress(FeedDamagedError):  # of which nobody knows what it needs
                    text = self._texts.version(tenant, newest.name, number)
                    absent |= dict.fromkeys(missing_plugins(text.text) if text else ())
            if absent:
                found[newest.name] = tuple(absent)
        return found

    def has(self, tenant: str, name: str) -> bool:
        """Whether a tenant has a feed of that name, also one that cannot be read."""
        return self._texts.current(tenant, name) is not None

    def refresh(self) -> None:
        """Forget which version is current; the next question reads it again."""
        with self._lock:
            self._generation += 1
            self._current = {}

    def forget(self) -> None:
        """Compile every version anew when it is asked for: what sources may read has changed."""
        with self._lock:
            self._generation += 1
            self._current, self._versions = {}, {}

    def _remember(self, tenant: str, text: FeedText, generation: int) -> Feed:
        feed = self._compile(tenant, text)
        with self._lock:
            if generation == self._generation:  # else it may have been read before the change that was announced
                self._current[tenant, text.name] = feed
        return feed

    def _compile(self, tenant: str, text: FeedText) -> Feed:
        key = (tenant, text.name, text.version)
        feed = self._versions.get(key)
        if feed is None:
            generation = self._generation
            reach = self._reach(tenant)
            feed = load(
                text.text,
                source=f"{text.name} (version {text.version})",
                environment=reach.variables,
                with_source=self._with_sources,
                secrets_folder=reach.secrets_folder,
            )
            feed = msgspec.structs.replace(feed, version=text.version)
            with self._lock:
                if generation == self._generation:  # else it may hold what must not be read any more
                    self._versions[key] = feed
        return feed
