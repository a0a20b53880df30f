"""Where the `feed` commands find feeds: in the catalog of a data folder, whether or not a server runs, or at a server.

Both answer the same and raise the same: InputError with every fault, NotFoundError, AccessError, UnavailableError.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from tidemill.cli.remote import Remote, read_document
from tidemill.errors import AccessError, NotFoundError
from tidemill.feeds.diff import DefinitionChange, changes, text_diff
from tidemill.feeds.revise import revise
from tidemill.model.feed_text import FeedText
from tidemill.model.time import format_instant

_MAX_PAGE: Final = 100
_TIMEOUT_S: Final = 30.0


class Listed(msgspec.Struct, frozen=True):
    """A feed in the list."""

    name: str
    version: int
    title: str
    shape: str
    polls: bool


class ApplyResult(msgspec.Struct, frozen=True):
    """What became, or would become, of a text. `diff` is None for a new feed."""

    name: str
    version: int
    changed: bool
    diff: list[DefinitionChange] | None


class Version(msgspec.Struct, frozen=True):
    """A version; `diff` is what it changed of the one before it, None for the first."""

    version: int
    created_at: str
    sha256: str
    diff: list[DefinitionChange] | None


class VersionDiff(msgspec.Struct, frozen=True):
    """What differs between two versions: of the definitions, and of the texts (None: not for this key)."""

    diff: list[DefinitionChange]
    text: str | None


class FeedDesk(Protocol):
    """Feeds of one tenant."""

    def feeds(self) -> list[Listed]:
        """Every feed, by name."""

    def show(self, name: str, version: int | None) -> tuple[int, str]:
        """The number and the text of a version; None: of the one in force."""

    def apply(self, source: str, text: str, *, dry_run: bool = False) -> ApplyResult:
        """Make a text the next version of the feed that it names. `source` names the text in messages."""

    def versions(self, name: str) -> list[Version]:
        """Every version, newest first."""

    def diff(self, name: str, one: int, other: int) -> VersionDiff:
        """What differs from one version to another."""


class CatalogDesk:
    """Feeds in a catalog. `texts` and `book` are of that catalog; `environment` is what [source] may see."""

    def __init__(self, texts: Any, book: Any, tenant: str, environment: Mapping[str, str]) -> None:
        self._texts, self._book, self._tenant, self._environment = texts, book, tenant, environment

    def feeds(self) -> list[Listed]:
        """See `FeedDesk`."""
        feeds = self._book.without_sources().list(self._tenant)
        polls = {text.name: "source" in tomllib.loads(text.text) for text in self._texts.list(self._tenant)}
        return [Listed(feed.name, feed.version, feed.title, feed.shape.kind, polls[feed.name]) for feed in feeds]

    def show(self, name: str, version: int | None) -> tuple[int, str]:
        """See `FeedDesk`."""
        text = self._kept(name, version)
        return text.version, text.text

    def apply(self, source: str, text: str, *, dry_run: bool = False) -> ApplyResult:
        """See `FeedDesk`."""
        name = feed_name(text)
        to, environment = (self._texts, self._tenant, name), self._environment
        made = revise(*to, text, source=source, environment=environment, dry_run=dry_run)
        return ApplyResult(name, made.version, made.changed, None if made.before is None else list(made.diff))

    def versions(self, name: str) -> list[Version]:
        """See `FeedDesk`."""
        texts: list[FeedText] = self._texts.versions(self._tenant, name)
        if not texts:
            raise self._missing(name)
        made = [
            Version(
                text.version,
                format_instant(text.created_ns),
                text.sha256,
                None if before is None else list(changes(before.text, text.text)),
            )
            for text, before in zip(texts, [None, *texts], strict=False)
        ]
        return made[::-1]

    def diff(self, name: str, one: int, other: int) -> VersionDiff:
        """See `FeedDesk`."""
        old, new = self._kept(name, one), self._kept(name, other)
        names = (f"{name} (version {one})", f"{name} (version {other})")
        return VersionDiff(list(changes(old.text, new.text)), text_diff(old.text, new.text, names))

    def _kept(self, name: str, version: int | None) -> FeedText:
        if version is None:
            text = self._texts.current(self._tenant, name)
        else:
            text = self._texts.version(self._tenant, name, version)
        if text is None:
            raise self._missing(name, version)
        return text  # type: ignore[no-any-return]

    def _missing(self, name: str, version: int | None = None) -> NotFoundError:
        what = f"feed '{name}'" if version is None else f"version {version} of a feed '{name}'"
        return NotFoundError(f"Tenant '{self._tenant}' has no {what}. `tidemill feed list` names its feeds.")


class ServerDesk:
    """Feeds at a server, of the tenant that the key belongs to."""

    def __init__(self, url: str, key: str) -> None:
        self._server = Remote(url, key)

    def feeds(self) -> list[Listed]:
        """See `FeedDesk`."""
        return msgspec.convert(self._get("/v1/feeds")["items"], list[Listed])

    def show(self, name: str, version: int | None) -> tuple[int, str]:
        """See `FeedDesk`."""
        found = self._get(f"/v1/feeds/{_quoted(name)}", **({} if version is None else {"version": str(version)}))
        if found["text"] is None:
            raise AccessError("The text of a feed is shown to keys with the scope 'admin' only.", missing_scope="admin")
        return found["version"], found["text"]

    def apply(self, source: str, text: str, *, dry_run: bool = False) -> ApplyResult:
        """See `FeedDesk`."""
        name = feed_name(text)
        params = {"dry_run": "true"} if dry_run else {}
        path = f"/v1/feeds/{_quoted(name)}"
        answer = self._server.ask("PUT", path, params=params, content=text.encode())
        return msgspec.convert(read_document(answer, f"{name[:80]}.toml", source), ApplyResult)

    def versions(self, name: str) -> list[Version]:
        """See `FeedDesk`."""
        found, cursor = list[Version](), ""
        while not found or cursor:
            page = self._get(
                f"/v1/feeds/{_quoted(name)}/versions",
                limit=str(_MAX_PAGE),
                **({"cursor": cursor} if cursor else {}),
            )
            found += msgspec.convert(page["items"], list[Version])
            cursor = page["next"] or ""
        return found

    def diff(self, name: str, one: int, other: int) -> VersionDiff:
        """See `FeedDesk`."""
        return msgspec.convert(self._get(f"/v1/feeds/{_quoted(name)}/versions/{one}/diff", to=str(other)), VersionDiff)

    def _get(self, path: str, **params: str) -> Any:
        return self._server.document("GET", path, params=params)


def feed_name(text: str) -> str:
    """The name that a text gives its feed; "unnamed" where it cannot be told (what `revise` makes of it says why)."""
    try:
        name = tomllib.loads(text).get("name")
    except (tomllib.TOMLDecodeError, RecursionError):
        return "unnamed"
    return name if isinstance(name, str) and name else "unnamed"


def _quoted(name: str) -> str:
    return quote(name, safe="")
