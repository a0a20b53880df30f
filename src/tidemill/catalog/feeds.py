"""Versions of feed definitions over any Catalog: their texts, word for word. What a text means is `feeds/`' matter.

Each version is a key of its own, `feeds/<tenant>/<name>/<version>`, written once and never changed; the highest is the
one in force. Two who apply at once get two versions, in some order. A text that is not what its sha256 says is never
handed out: what was sent for it would be decided by rules that nobody wrote.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from tidemill.catalog.contract import Catalog, CatalogEntry
from tidemill.errors import ConflictError, Fault, FeedDamagedError
from tidemill.model.feed_text import FeedText

FEEDS_PREFIX: Final = "feeds/"

_log = logging.getLogger(__name__)


class CatalogFeeds:
    """The feed texts of all tenants. Every method raises what the catalog raises; those that give one feed's texts
    raise FeedDamagedError. `now_ns` is the clock."""

    def __init__(self, catalog: Catalog, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._catalog = catalog
        self._now_ns = now_ns
        self._newest: dict[tuple[str, str], int] = {}  # as it was last seen: where to begin to look

    def current(self, tenant: str, name: str) -> FeedText | None:
        """The newest version, or None. Reads one or two versions, however many there are, once it read them all."""
        number = self._newest.get((tenant, name), 0)
        text = self.version(tenant, name, number)
        while text is not None and (later := self.version(tenant, name, text.version + 1)) is not None:
            text = later
        if text is None:
            entries = self._catalog.list(_key(tenant, name))
            text = _text(entries[-1]) if entries else None
        if text is not None:
            self._newest[tenant, name] = text.version
        return text

    def version(self, tenant: str, name: str, number: int) -> FeedText | None:
        """One version, or None."""
        entry = self._catalog.get(_key(tenant, name, number)) if number > 0 else None
        return None if entry is None else _text(entry)

    def versions(self, tenant: str, name: str) -> list[FeedText]:
        """Every version of a feed, oldest first; [] where there is none."""
        return [_text(entry) for entry in self._catalog.list(_key(tenant, name))]

    def tenants(self) -> list[str]:
        """Every tenant that has feeds, by name."""
        return sorted(
            {entry.key.removeprefix(FEEDS_PREFIX).partition("/")[0] for entry in self._catalog.list(FEEDS_PREFIX)}
        )

    def names(self, tenant: str) -> list[str]:
        """The name of every feed of a tenant, in order, also of one whose text is damaged."""
        keys = (entry.key.split("/") for entry in self._catalog.list(_key(tenant)))
        return sorted({name.replace("%2F", "/") for _, _, name, _ in keys})

    def list(self, tenant: str) -> list[FeedText]:
        """The newest version of every feed of a tenant, by name. One that is damaged is reported and left out."""
        newest = {entry.key.rpartition("/")[0]: entry for entry in self._catalog.list(_key(tenant))}
        texts = []
        for name in sorted(newest):
            try:
                texts.append(_text(newest[name]))
            except FeedDamagedError as error:
                _log.error(error.message)
        return texts

    def damaged(self, tenant: str) -> Iterator[tuple[str, FeedDamagedError]]:
        """The name of a feed, and what is wrong, for every version of a tenant's feeds that is damaged."""
        for entry in self._catalog.list(_key(tenant)):
            try:
                _text(entry)
            except FeedDamagedError as error:
                yield entry.key.split("/")[2].replace("%2F", "/"), error

    def apply(self, tenant: str, name: str, text: str) -> FeedText:
        """Keep a text as the next version, durable on return; the same text as the current one makes no new version."""
        sha256 = _sha256(text)
        while True:
            current = self.current(tenant, name)
            if current is not None and current.sha256 == sha256:
                return current
            with suppress(ConflictError):  # somebody else made this version: look again
                return self.add(tenant, name, 1 if current is None else current.version + 1, text)

    def install(self, tenant: str, recipes: Mapping[str, str], former: Collection[str] = ()) -> None:
        """Give a tenant the recipes (name -> text) that it has no version of. What it has stays as it is, unless its
        sha256 is one of `former`: a recipe as it was shipped before gets the present text as its next version."""
        have = {text.name: text for text in self.list(tenant)}
        for name in sorted(recipes):
            text = have.get(name)
            if text is None or text.sha256 in former:
                with suppress(ConflictError):  # somebody else was first
                    self.add(tenant, name, 1 if text is None else text.version + 1, recipes[name])

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` within about a second after any tenant's feeds changed; returns what ends that."""
        return self._catalog.watch(FEEDS_PREFIX, changed)

    def add(self, tenant: str, name: str, number: int, text: str) -> FeedText:
        """Keep a text as version `number`, durable on return. Raises ConflictError when that version exists."""
        made = FeedText(name, number, text, _sha256(text), self._now_ns())
        self._catalog.put(_key(tenant, name, number), msgspec.json.encode(made), expect=0)
        return made


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _key(tenant: str, name: str | None = None, number: int | None = None) -> str:
    """A version's key, or the prefix of a feed's or a tenant's; ten digits, so that order of keys is order of versions.

    A name of a URL cannot reach another tenant's feeds: what holds a slash is no feed's name.
    """
    if name is None:
        return f"{FEEDS_PREFIX}{tenant}/"
    name = name.replace("/", "%2F")
    return f"{FEEDS_PREFIX}{tenant}/{name}/" + ("" if number is None else f"{number:010d}")


def _text(entry: CatalogEntry) -> FeedText:
    """A version. Raises FeedDamagedError when it is not the one that was written under its key."""
    try:
        text = msgspec.json.decode(entry.value, type=FeedText)
        whole = text.sha256 == _sha256(text.text) and entry.key.endswith(
            _key("", text.name, text.version)[len(FEEDS_PREFIX) :]
        )
    except (msgspec.DecodeError, UnicodeError):
        whole = False
    if not whole:
        _, tenant, name, number = entry.key.split("/")
        message = (
            f"version {int(number)} of feed '{name}' of tenant '{tenant}' is damaged in the catalog: its text does not "
            "match its sha256. Put catalog.sqlite (with its -wal) back from a backup"
        )
        raise FeedDamagedError(message, (Fault(f"{name} (version {int(number)})", "damaged", message),))
    return text
