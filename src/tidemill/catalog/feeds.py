"""Versions of feed definitions in any Catalog: their texts, verbatim. `feeds/` parses the texts.

Each version is a key of its own, `feeds/<tenant>/<name>/<version>`, written once and never changed; the highest version
is the current one. A feed that was removed has a key `removed_feeds/<tenant>/<name>`, which names its highest version
then: with a later version the feed is in force again. Two concurrent applications make two versions, in either order. A
text that does not match its sha256 is never returned, because the feed's payloads would be decided by rules that nobody
wrote.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

import msgspec

from tidemill.catalog.contract import Catalog, CatalogEntry
from tidemill.errors import ConflictError, Fault, FeedDamagedError, NotFoundError
from tidemill.model.feed_text import FeedRemoval, FeedText

FEEDS_PREFIX: Final = "feeds/"
_REMOVED_PREFIX: Final = "removed_feeds/"

_log = logging.getLogger(__name__)


class CatalogFeeds:
    """The feed texts of all tenants. Every method raises what the catalog raises; methods that return the texts of one
    feed also raise FeedDamagedError. `now_ns` is the clock."""

    def __init__(self, catalog: Catalog, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._catalog = catalog
        self._now_ns = now_ns
        self._newest: dict[tuple[str, str], int] = {}  # the newest known version of a feed: `current` begins with it

    def current(self, tenant: str, name: str) -> FeedText | None:
        """The newest version, with the removal of the feed if it is removed; None where there never was one. The first
        call for a feed reads all its versions, later calls one or two."""
        number = self._newest.get((tenant, name), 0)
        text = self.version(tenant, name, number)
        while text is not None and (later := self.version(tenant, name, text.version + 1)) is not None:
            text = later
        if text is None:
            entries = self._catalog.list(_key(tenant, name))
            text = _text(entries[-1]) if entries else None
        if text is not None:
            self._newest[tenant, name] = text.version
        return text and self._with_removal(tenant, text)

    def version(self, tenant: str, name: str, number: int) -> FeedText | None:
        """One version, or None."""
        entry = self._catalog.get(_key(tenant, name, number)) if number > 0 else None
        return None if entry is None else _text(entry)

    def versions(self, tenant: str, name: str) -> list[FeedText]:
        """Every version of a feed, oldest first; [] where there is none."""
        return [_text(entry) for entry in self._catalog.list(_key(tenant, name))]

    def tenants(self) -> list[str]:
        """The names of all tenants that have feeds, in order."""
        return sorted(
            {entry.key.removeprefix(FEEDS_PREFIX).partition("/")[0] for entry in self._catalog.list(FEEDS_PREFIX)}
        )

    def names(self, tenant: str) -> list[str]:
        """The names of all feeds of a tenant, in order, also of feeds whose text is damaged."""
        keys = (entry.key.split("/") for entry in self._catalog.list(_key(tenant)))
        return sorted({name.replace("%2F", "/") for _, _, name, _ in keys})

    def list(self, tenant: str) -> list[FeedText]:
        """The newest version of every feed of a tenant, by name. Leaves out removed feeds, and damaged versions, and
        logs each of these."""
        removed = self.removed(tenant)
        return [text for text in self._newest_texts(tenant) if text.name not in removed]

    def remove(self, tenant: str, name: str, data: Literal["keep", "delete"]) -> FeedRemoval:
        """Remove a feed, durable on return; its versions stay, and a version that is applied later brings it back. Of a
        feed that is removed already, only `data` changes. Raises NotFoundError for a feed that never was."""
        newest = self.current(tenant, name)
        if newest is None:
            raise NotFoundError(f"there is no feed '{name[:100]}'")
        removed_ns = newest.removal.removed_ns if newest.removal else self._now_ns()
        removal = FeedRemoval(newest.version, removed_ns, data)
        self._catalog.put(_removed_key(tenant, name), msgspec.json.encode(removal))
        return removal

    def note_deleted(self, tenant: str, name: str, removal: FeedRemoval) -> FeedRemoval:
        """Note of a removal that the feed's data is deleted, durable on return. A feed that was applied since is not
        removed by it, and the note of a later removal stays as it is."""
        deleted = msgspec.structs.replace(removal, data="delete")
        entry = self._catalog.get(_removed_key(tenant, name))
        if entry is not None and msgspec.json.decode(entry.value, type=FeedRemoval) == removal:
            with suppress(ConflictError):  # it was removed once more in between
                self._catalog.put(_removed_key(tenant, name), msgspec.json.encode(deleted), expect=entry.revision)
        return deleted

    def removed(self, tenant: str) -> dict[str, FeedRemoval]:
        """The removed feeds of a tenant, by name."""
        removals = {}
        for entry in self._catalog.list(_removed_key(tenant)):
            name = entry.key.split("/")[2].replace("%2F", "/")
            removal = msgspec.json.decode(entry.value, type=FeedRemoval)
            if self._catalog.get(_key(tenant, name, removal.version + 1)) is None:
                removals[name] = removal
        return removals

    def removed_everywhere(self) -> Sequence[tuple[str, str]]:
        """(tenant, name) of every removed feed."""
        tenants = {entry.key.split("/")[1] for entry in self._catalog.list(_REMOVED_PREFIX)}
        return [(tenant, name) for tenant in sorted(tenants) for name in self.removed(tenant)]

    def _with_removal(self, tenant: str, text: FeedText) -> FeedText:
        entry = self._catalog.get(_removed_key(tenant, text.name))
        removal = None if entry is None else msgspec.json.decode(entry.value, type=FeedRemoval)
        in_force = removal is None or removal.version < text.version
        return text if in_force else msgspec.structs.replace(text, removal=removal)

    def _newest_texts(self, tenant: str) -> Sequence[FeedText]:
        """The newest version of every feed of a tenant, also of removed ones."""
        newest = {entry.key.rpartition("/")[0]: entry for entry in self._catalog.list(_key(tenant))}
        texts = []
        for name in sorted(newest):
            try:
                texts.append(_text(newest[name]))
            except FeedDamagedError as error:
                _log.error(error.message)
        return texts

    def damaged(self, tenant: str) -> Iterator[tuple[str, FeedDamagedError]]:
        """(the feed's name, the error) of every damaged version of a tenant's feeds."""
        for entry in self._catalog.list(_key(tenant)):
            try:
                _text(entry)
            except FeedDamagedError as error:
                yield entry.key.split("/")[2].replace("%2F", "/"), error

    def apply(self, tenant: str, name: str, text: str) -> FeedText:
        """Store a text as the next version, durable on return; the text of the current version makes no new version."""
        sha256 = _sha256(text)
        while True:
            current = self.current(tenant, name)
            if current is not None and current.sha256 == sha256 and current.removal is None:
                return current
            with suppress(ConflictError):  # another process made this version: try the next one
                return self.add(tenant, name, 1 if current is None else current.version + 1, text)

    def install(self, tenant: str, recipes: Mapping[str, str], former: Collection[str] = ()) -> None:
        """Store the recipes (name -> text) of which the tenant has no version. An existing feed stays as it is, unless
        its sha256 is in `former`, the recipes of earlier releases: then the present text becomes its next version. A
        recipe that was removed stays removed."""
        current = {text.name: text for text in self._newest_texts(tenant)}
        for name in sorted(recipes.keys() - self.removed(tenant).keys()):
            text = current.get(name)
            if text is None or text.sha256 in former:
                with suppress(ConflictError):  # another process was first
                    self.add(tenant, name, 1 if text is None else text.version + 1, recipes[name])

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` within about a second after any tenant's feeds changed; returns a function that ends the
        watch."""
        ends = [self._catalog.watch(prefix, changed) for prefix in (FEEDS_PREFIX, _REMOVED_PREFIX)]

        def end() -> None:
            for end_one in ends:
                end_one()

        return end

    def add(self, tenant: str, name: str, number: int, text: str) -> FeedText:
        """Store a text as version `number`, durable on return. Raises ConflictError when that version exists."""
        version = FeedText(name, number, text, _sha256(text), self._now_ns())
        self._catalog.put(_key(tenant, name, number), msgspec.json.encode(version), expect=0)
        return version


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _key(tenant: str, name: str | None = None, number: int | None = None) -> str:
    """The key of a version, or the prefix of the keys of a feed or of a tenant. A version has ten digits, so that keys
    sort by version.

    A slash in a name is escaped, so that a name from a URL cannot reach another tenant's feeds.
    """
    if name is None:
        return f"{FEEDS_PREFIX}{tenant}/"
    name = name.replace("/", "%2F")
    return f"{FEEDS_PREFIX}{tenant}/{name}/" + ("" if number is None else f"{number:010d}")


def _removed_key(tenant: str, name: str | None = None) -> str:
    """The key of a removal, or the prefix of the keys of a tenant."""
    return f"{_REMOVED_PREFIX}{tenant}/" + ("" if name is None else name.replace("/", "%2F"))


def _text(entry: CatalogEntry) -> FeedText:
    """Decode a version. Raises FeedDamagedError when it is not what was written under its key."""
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
