"""Routes that list the versions of a feed and what changed between them. Keys with the scope `read` see them; texts and
the values in [source] are for administrators.
"""

from typing import Annotated, Final

import msgspec

from tidemill.api.reads_common import ReadCall, answers_with, reading
from tidemill.catalog.keys import Principal
from tidemill.errors import NotFoundError
from tidemill.feeds.book import missing_feed
from tidemill.feeds.diff import definition_changes, hide_source_values, text_diff
from tidemill.model.feed_text import DefinitionChange, FeedText
from tidemill.model.time import format_instant
from tidemill.query import cursors, readers
from tidemill.query.parameters import Parameter, QueryParameters, limit_to, page_cursor

_TO: Final = "Without it the one in force; of the version in force itself, what it changed of the version before it."


class FeedVersionsQuery(QueryParameters, frozen=True):
    """The page of versions to list."""

    limit: Annotated[int, limit_to(100)] = 20
    cursor: Annotated[tuple[int] | None, page_cursor(int)] = None


class FeedDiffQuery(QueryParameters, frozen=True):
    """The version to compare with."""

    to: Annotated[
        int | None,
        Parameter(f"The other version. {_TO}", readers.limit(999_999_999), {"type": "integer", "minimum": 1}),
    ] = None


class FeedVersion(msgspec.Struct, frozen=True):
    """One version. `diff` is what it changed of the previous version; null for the first."""

    version: int
    created_at: str
    sha256: str
    diff: list[DefinitionChange] | None
    links: dict[str, str]


class FeedVersionPage(msgspec.Struct, frozen=True):
    """Versions of a feed, newest first; `next` is the cursor of the following page."""

    name: str
    items: list[FeedVersion]
    next: str | None


class FeedDiff(msgspec.Struct, frozen=True, rename={"from_version": "from", "to_version": "to"}):
    """The difference between two versions: of the definitions, and of the texts (`text`: for administrators)."""

    name: str
    from_version: int
    to_version: int
    diff: list[DefinitionChange]
    text: str | None


@reading(
    "/v1/feeds/{feed:str}/versions",
    FeedVersionsQuery,
    of_store=False,
    tags=["admin"],
    summary="The versions of a feed",
    responses=answers_with(FeedVersionPage, "Versions, newest first, each with what it changed.", 400, 404),
)
def list_feed_versions(call: ReadCall[FeedVersionsQuery], feed: str) -> FeedVersionPage:
    """Every version, newest first, and what it changed of the previous one. Rules that only moved are not listed as
    changed. Values of changes in [source] are for administrators only. `links.self` leads to the text."""
    texts, query = call.services.texts.versions(call.tenant, feed), call.query
    if not texts:
        raise missing_feed(feed)
    before = dict(zip((text.version for text in texts), [None, *texts], strict=False))
    older = [text for text in texts if query.cursor is None or text.version < query.cursor[0]]
    shown = older[-query.limit :]
    items = [_version(text, before[text.version], call.principal) for text in reversed(shown)]
    return FeedVersionPage(feed, items, cursors.encode_cursor(shown[0].version) if len(shown) < len(older) else None)


@reading(
    "/v1/feeds/{feed:str}/versions/{version:int}/diff",
    FeedDiffQuery,
    of_store=False,
    tags=["admin"],
    summary="What differs between two versions",
    responses=answers_with(
        FeedDiff, "The difference of the definitions, and for administrators of the texts.", 400, 404
    ),
)
def diff_feed_versions(call: ReadCall[FeedDiffQuery], feed: str, version: int) -> FeedDiff:
    """What changed from `version` to the version `to`, in either direction, as a list of paths with old and new value,
    and for administrators as a unified diff of the texts. `from` and `to` of the answer are the versions compared."""
    other, principal = call.query.to, call.principal

    def stored_text(number: int | None) -> FeedText:
        texts = call.services.texts
        text = texts.current(call.tenant, feed) if number is None else texts.version(call.tenant, feed, number)
        if text is None:
            which = "a" if number is None else f"version {number} of a"
            raise NotFoundError(f"there is no {which} feed '{feed[:100]}'")
        return text

    old, new = stored_text(version), stored_text(other)
    if other is None and old.version == new.version > 1:  # the version in force is compared with the previous one
        old = stored_text(version - 1)
    lines = text_diff(old.text, new.text, (_title(old), _title(new))) if "admin" in principal.scopes else None
    return FeedDiff(
        feed, old.version, new.version, _visible_changes(definition_changes(old.text, new.text), principal), lines
    )


def _version(text: FeedText, before: FeedText | None, principal: Principal) -> FeedVersion:
    return FeedVersion(
        version=text.version,
        created_at=format_instant(text.created_ns),
        sha256=text.sha256,
        diff=None if before is None else _visible_changes(definition_changes(before.text, text.text), principal),
        links={"self": f"/v1/feeds/{text.name}?version={text.version}"},
    )


def _visible_changes(diff: tuple[DefinitionChange, ...], principal: Principal) -> list[DefinitionChange]:
    return list(diff if "admin" in principal.scopes else hide_source_values(diff))


def _title(text: FeedText) -> str:
    return f"{text.name} (version {text.version})"


VERSION_ROUTES: Final = [list_feed_versions, diff_feed_versions]
