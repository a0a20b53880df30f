"""Routes that say what versions a feed has and what changed between them. Whoever may read sees them; texts, and what a
source is asked with, are for administrators.
"""

from typing import Annotated, Final

import msgspec

from tidemill.api.reads_common import ReadCall, answers, problem, reading
from tidemill.catalog.keys import Principal
from tidemill.errors import NotFoundError
from tidemill.feeds.diff import DefinitionChange, definition_changes, hide_source_values, text_diff
from tidemill.model.feed_text import FeedText
from tidemill.model.time import format_instant
from tidemill.query import cursors, readers
from tidemill.query.parameters import Parameter, QueryParameters, limit_to, page_cursor

_TO: Final = "Without it the one in force; of the version in force itself, what it changed of the version before it."


class FeedVersionsQuery(QueryParameters, frozen=True):
    """A page of versions."""

    limit: Annotated[int, limit_to(100)] = 20
    cursor: Annotated[tuple[int] | None, page_cursor(int)] = None


class FeedDiffQuery(QueryParameters, frozen=True):
    """What a version is compared with."""

    to: Annotated[
        int | None,
        Parameter(f"The other version. {_TO}", readers.limit(999_999_999), {"type": "integer", "minimum": 1}),
    ] = None


class FeedVersion(msgspec.Struct, frozen=True):
    """One version. `diff` is what it changed of the version before it; null for the first."""

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
    """What differs from one version to another: of the definitions, and of the texts (for administrators)."""

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
    responses={
        200: answers(FeedVersionPage, "Versions, newest first, each with what it changed.")[200],
        400: problem("The query is at fault."),
        404: problem("No such feed."),
    },
)
def list_feed_versions(call: ReadCall[FeedVersionsQuery], feed: str) -> FeedVersionPage:
    """Every version, newest first, and what it changed of the one before. Rules that moved are told from rules that
    changed. What changed in [source] has its values for administrators only. `links.self` leads to the text."""
    texts, query = call.services.texts.versions(call.tenant, feed), call.query
    if not texts:
        raise NotFoundError(f"there is no feed '{feed[:100]}'")
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
    responses={
        200: answers(FeedDiff, "The difference of the definitions, and for administrators of the texts.")[200],
        400: problem("The query is at fault."),
        404: problem("No such feed, or no such version of it."),
    },
)
def diff_feed_versions(call: ReadCall[FeedDiffQuery], feed: str, version: int) -> FeedDiff:
    """What changed from `version` to the version `to`, in either direction, as a list of paths with old and new value;
    and for administrators line by line (unified diff). `from` and `to` of the answer say what was compared."""
    other, principal = call.query.to, call.principal

    def kept(number: int | None) -> FeedText:
        texts = call.services.texts
        text = texts.current(call.tenant, feed) if number is None else texts.version(call.tenant, feed, number)
        if text is None:
            which = "a" if number is None else f"version {number} of a"
            raise NotFoundError(f"there is no {which} feed '{feed[:100]}'")
        return text

    old, new = kept(version), kept(other)
    if other is None and old.version == new.version > 1:  # itself has nothing to be compared with but its past
        old = kept(version - 1)
    lines = text_diff(old.text, new.text, (_named(old), _named(new))) if "admin" in principal.scopes else None
    return FeedDiff(feed, old.version, new.version, _shown(definition_changes(old.text, new.text), principal), lines)


def _version(text: FeedText, before: FeedText | None, principal: Principal) -> FeedVersion:
    return FeedVersion(
        version=text.version,
        created_at=format_instant(text.created_ns),
        sha256=text.sha256,
        diff=None if before is None else _shown(definition_changes(before.text, text.text), principal),
        links={"self": f"/v1/feeds/{text.name}?version={text.version}"},
    )


def _shown(found: tuple[DefinitionChange, ...], principal: Principal) -> list[DefinitionChange]:
    return list(found if "admin" in principal.scopes else hide_source_values(found))


def _named(text: FeedText) -> str:
    return f"{text.name} (version {text.version})"


VERSION_ROUTES: Final = [list_feed_versions, diff_feed_versions]
