"""The feeds that the `feed` commands work on: in the catalog of a data folder (a server may run on it), or at a server.

Both desks answer and raise the same: InputError with every fault, NotFoundError, AccessError, UnavailableError.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from tidemill.cli.remote import Remote
from tidemill.errors import AccessError, NotFoundError
from tidemill.model.feed_text import DefinitionChange, FeedText
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
    """The result of applying a text, or of a dry run. `diff` is None for a new feed."""

    name: str
    version: int
    changed: bool
    diff: list[DefinitionChange] | None


class Version(msgspec.Struct, frozen=True):
    """A version; `diff`: its changes from the version before it, None for the first."""

    version: int
    created_at: str
    sha256: str
    diff: list[DefinitionChange] | None


class VersionDiff(msgspec.Struct, frozen=True):
    """The differences between two versions: of the definitions, and of the texts (None: this key may not see them)."""

    diff: list[DefinitionChange]
    text: str | None


class FeedDesk(Protocol):
    """Feeds of one tenant."""

    def list_feeds(self) -> list[Listed]:
        """Every feed, by name."""

    def read_version(self, name: str, version: int | None) -> tuple[int, str]:
        """The number and the text of a version; with None those of the version in force."""

    def apply_text(self, source: str, text: str, *, dry_run: bool = False) -> ApplyResult:
        """Make a text the next version of the feed that it names. `source` names the text in messages."""

    def list_versions(self, name: str) -> list[Version]:
        """Every version, newest first."""

    def compare_versions(self, name: str, version: int, other: int) -> VersionDiff:
        """The differences from a version to another."""


class CatalogDesk:
    """Feeds in a catalog. `texts` and `book` are of that catalog; `environment`: variables that [source] may read.

    Imports what reads feeds when it needs it: with a server it does not, and a client is installed without it.
    """

    def __init__(self, texts: Any, book: Any, tenant: str, environment: Mapping[str, str]) -> None:
        self._texts, self._book, self._tenant, self._environment = texts, book, tenant, environment

    def list_feeds(self) -> list[Listed]:
        """See `FeedDesk`."""
        feeds = self._book.without_sources().list(self._tenant)
        polls = {text.name: "source" in tomllib.loads(text.text) for text in self._texts.list(self._tenant)}
        return [Listed(feed.name, feed.version, feed.title, feed.shape.kind, polls[feed.name]) for feed in feeds]

    def read_version(self, name: str, version: int | None) -> tuple[int, str]:
        """See `FeedDesk`."""
        text = self._kept(name, version)
        return text.version, text.text

    def apply_text(self, source: str, text: str, *, dry_run: bool = False) -> ApplyResult:
        """See `FeedDesk`."""
        from tidemill.feeds.revise import revise_feed

        name = feed_name(text)
        to, environment = (self._texts, self._tenant, name), self._environment
        made = revise_feed(*to, text, source=source, environment=environment, dry_run=dry_run)
        return ApplyResult(name, made.version, made.changed, None if made.before is None else list(made.diff))

    def list_versions(self, name: str) -> list[Version]:
        """See `FeedDesk`."""
        from tidemill.feeds.diff import definition_changes

        texts: list[FeedText] = self._texts.versions(self._tenant, name)
        if not texts:
            raise self._missing(name)
        made = [
            Version(
                text.version,
                format_instant(text.created_ns),
                text.sha256,
                None if before is None else list(definition_changes(before.text, text.text)),
            )
            for text, before in zip(texts, [None, *texts], strict=False)
        ]
        return made[::-1]

    def compare_versions(self, name: str, version: int, other: int) -> VersionDiff:
        """See `FeedDesk`."""
        from tidemill.feeds.diff import definition_changes, text_diff

        old, new = self._kept(name, version), self._kept(name, other)
        names = (f"{name} (version {version})", f"{name} (version {other})")
        return VersionDiff(list(definition_changes(old.text, new.text)), text_diff(old.text, new.text, names))

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

    def list_feeds(self) -> list[Listed]:
        """See `FeedDesk`."""
        return msgspec.convert(self._get("/v1/feeds")["items"], list[Listed])

    def read_version(self, name: str, version: int | None) -> tuple[int, str]:
        """See `FeedDesk`."""
        feed = self._get(f"/v1/feeds/{_quoted(name)}", **({} if version is None else {"version": str(version)}))
        if feed["text"] is None:
            raise AccessError("The text of a feed is shown to keys with the scope 'admin' only.", missing_scope="admin")
        return feed["version"], feed["text"]

    def apply_text(self, source: str, text: str, *, dry_run: bool = False) -> ApplyResult:
        """See `FeedDesk`."""
        name = feed_name(text)
        params = {"dry_run": "true"} if dry_run else {}
        path = f"/v1/feeds/{_quoted(name)}"
        renamed = (f"{name[:80]}.toml", source)
        answer = self._server.document("PUT", path, params=params, body=text.encode(), renamed=renamed)
        return msgspec.convert(answer, ApplyResult)

    def list_versions(self, name: str) -> list[Version]:
        """See `FeedDesk`."""
        versions, cursor = list[Version](), ""
        while not versions or cursor:
            page = self._get(
                f"/v1/feeds/{_quoted(name)}/versions",
                limit=str(_MAX_PAGE),
                **({"cursor": cursor} if cursor else {}),
            )
            versions += msgspec.convert(page["items"], list[Version])
            cursor = page["next"] or ""
        return versions

    def compare_versions(self, name: str, version: int, other: int) -> VersionDiff:
        """See `FeedDesk`."""
        path = f"/v1/feeds/{_quoted(name)}/versions/{version}/diff"
        return msgspec.convert(self._get(path, to=str(other)), VersionDiff)

    def _get(self, path: str, **params: str) -> Any:
        return self._server.document("GET", path, params=params)


def feed_name(text: str) -> str:
    """The name that a text gives its feed; "unnamed" if the text has none or is no TOML (`revise` then raises why)."""
    try:
        name = tomllib.loads(text).get("name")
    except (tomllib.TOMLDecodeError, RecursionError):
        return "unnamed"
    return name if isinstance(name, str) and name else "unnamed"


def _quoted(name: str) -> str:
    return quote(name, safe="")
