"""Routes that change feeds and say what changed: a new version, the list of versions, the difference of any two.

What a text may be is `feeds/revise.py`'s matter. A version is in force for this process before the request that made it
is answered; other processes take it up within a second.
"""

import os
import re
from typing import Any, Final

import msgspec
from anyio import to_thread
from litestar import Response, get, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, RequestBody, Schema
from litestar.openapi.spec import Parameter as ParameterSpec
from litestar.params import FromPath

from tidemill.api.reads_common import AnyRequest, answers, parameters, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, FeedDefinitionError, InputError, LimitError, NotFoundError
from tidemill.feeds.diff import Change, changes, text_diff, without_source
from tidemill.feeds.revise import Revision, revise
from tidemill.model.feed_text import FeedText
from tidemill.model.time import format_instant
from tidemill.query import cursor
from tidemill.query.parameters import Parameter, limit, page_cursor
from tidemill.query.readers import choice
from tidemill.query.readers import limit as whole_number

MAX_FEED: Final = 256 << 10  # bytes of a definition; the longest recipe has 2 KiB
_BODY_LIMIT: Final = 64 << 20  # Litestar's own, above ours: ours names itself
_IF_MATCH: Final = re.compile(r'"?([0-9]{1,9})"?', re.ASCII)
_CURL_FORM: Final = "application/x-www-form-urlencoded"
_CURL_HINT: Final = "curl -d takes line breaks out of a file; send it with -T or --data-binary."
_VERSION: Final = {"type": "integer", "minimum": 1}
PUT_PARAMETERS: Final = (
    Parameter(
        "dry_run",
        "Check the text and answer with what it would change; change nothing.",
        choice("true", "false"),
        {"type": "string", "enum": ["true", "false"]},
        "false",
    ),
)
PAGE_PARAMETERS: Final = (limit(20, 100), page_cursor(int))
DIFF_PARAMETERS: Final = (
    Parameter("to", "The other version; without it the one in force.", whole_number(999_999_999), _VERSION),
)


class FeedChange(msgspec.Struct, frozen=True):
    """What became of a feed's text. `diff` is null for a feed that is new; [] where only comments or layout changed."""

    name: str
    version: int
    sha256: str | None
    created_at: str | None
    changed: bool
    dry_run: bool
    diff: list[Change] | None
    links: dict[str, str]


class FeedVersion(msgspec.Struct, frozen=True):
    """One version. `diff` is what it changed of the version before it; null for the first."""

    version: int
    created_at: str
    sha256: str
    diff: list[Change] | None
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
    diff: list[Change]
    text: str | None


class _PutFeed(taking(PUT_PARAMETERS)):  # type: ignore[misc]
    """The operation with its body and its header, which Litestar does not see."""

    def __post_init__(self) -> None:
        super().__post_init__()
        text = Schema(type=OpenAPIType.STRING, description="A feed definition (TOML, at most 256 KiB).")
        self.request_body = RequestBody(content={"application/toml": OpenAPIMediaType(schema=text)}, required=True)
        condition = 'The version this change was made for, such as "3"; 412 where another is in force.'
        self.parameters += [
            ParameterSpec(
                name="If-Match", param_in="header", description=condition, schema=Schema(type=OpenAPIType.STRING)
            )
        ]


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(dict[str, Any], generate_examples=False, description=description)


@put(
    "/v1/feeds/{feed:str}",
    tags=["admin"],
    summary="Make a feed, or its next version",
    operation_id="putFeed",
    operation_class=_PutFeed,
    responses={
        200: ResponseSpec(FeedChange, generate_examples=False, description="A new version, or the same text again."),
        201: ResponseSpec(FeedChange, generate_examples=False, description="A new feed, at version 1."),
        400: _problem("The definition is at fault."),
        412: _problem("Another version is in force than If-Match says."),
        413: _problem("The text is longer than 256 KiB."),
    },
    opt={"scope": "admin"},
    request_max_body_size=_BODY_LIMIT,
)
async def put_feed(
    feed: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[FeedChange]:
    """The body is the feed's TOML text, whatever its content type: `curl -T pumps.toml .../v1/feeds/pumps`. Any fault
    refuses all of it, each named with its line, and the version in force stays. Payloads sent after the answer are
    taken under the new version; those before keep theirs. The text of the version in force makes no new one.
    """
    asked = parameters(request, PUT_PARAMETERS)
    expect = _expected(request.headers.get("if-match"))
    dry_run = asked["dry_run"] == "true"
    source = f"{feed[:80]}.toml"
    body = await _body(request)

    def work() -> Revision:
        text = _text(body, source)
        to = (services.texts, principal.tenant, feed)
        return revise(*to, text, source=source, environment=os.environ, expect=expect, dry_run=dry_run)

    try:
        revision = await to_thread.run_sync(work)
    except FeedDefinitionError as error:
        lost_lines = request.headers.get("content-type") == _CURL_FORM and b"\n" not in body
        if lost_lines and not body.startswith(b"{"):
            raise FeedDefinitionError(f"{error.message}\n{_CURL_HINT}", error.faults) from None
        raise
    services.book.refresh()
    answer = _change(feed, revision, dry_run=dry_run)
    if dry_run:
        return Response(answer, status_code=200)
    headers = {"ETag": f'"{revision.version}"'}
    return Response(answer, status_code=201 if revision.before is None else 200, headers=headers)


@get(
    "/v1/feeds/{feed:str}/versions",
    tags=["admin"],
    summary="The versions of a feed",
    operation_id="listFeedVersions",
    operation_class=taking(PAGE_PARAMETERS),
    responses={
        200: answers(FeedVersionPage, "Versions, newest first, each with what it changed.")[200],
        400: _problem("The query is at fault."),
        404: _problem("No such feed."),
    },
)
async def list_versions(
    feed: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> FeedVersionPage:
    """Every version, newest first, and what it changed of the one before. Rules that moved are told from rules that
    changed. What changed in [source] has its values for administrators only. `links.self` leads to the text."""
    asked = parameters(request, PAGE_PARAMETERS)

    def work() -> FeedVersionPage:
        texts = services.texts.versions(principal.tenant, feed)
        if not texts:
            raise NotFoundError(f"there is no feed '{feed[:100]}'")
        before = dict(zip((text.version for text in texts), [None, *texts], strict=False))
        older = [text for text in texts if asked["cursor"] is None or text.version < asked["cursor"][0]]
        shown = older[-asked["limit"] :]
        items = [_version(text, before[text.version], principal) for text in reversed(shown)]
        more = cursor.encode(shown[0].version) if len(shown) < len(older) else None
        return FeedVersionPage(feed, items, more)

    return await to_thread.run_sync(work)


@get(
    "/v1/feeds/{feed:str}/versions/{version:int}/diff",
    tags=["admin"],
    summary="What differs between two versions",
    operation_id="diffFeedVersions",
    operation_class=taking(DIFF_PARAMETERS),
    responses={
        200: answers(FeedDiff, "The difference of the definitions, and for administrators of the texts.")[200],
        400: _problem("The query is at fault."),
        404: _problem("No such feed, or no such version of it."),
    },
)
async def diff_versions(
    feed: FromPath[str],
    version: FromPath[int],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> FeedDiff:
    """What changed from `version` to the version `to`, in either direction, as a list of paths with old and new value;
    and for administrators line by line (unified diff)."""
    other = parameters(request, DIFF_PARAMETERS)["to"]

    def kept(number: int | None) -> FeedText:
        texts, tenant = services.texts, principal.tenant
        text = texts.current(tenant, feed) if number is None else texts.version(tenant, feed, number)
        if text is None:
            which = "a" if number is None else f"version {number} of a"
            raise NotFoundError(f"there is no {which} feed '{feed[:100]}'")
        return text

    def work() -> FeedDiff:
        old, new = kept(version), kept(other)
        lines = None
        if "admin" in principal.scopes:
            lines = text_diff(old.text, new.text, (_named(old), _named(new)))
        return FeedDiff(feed, old.version, new.version, _shown(changes(old.text, new.text), principal), lines)

    return await to_thread.run_sync(work)


def _change(name: str, revision: Revision, *, dry_run: bool) -> FeedChange:
    kept = revision.kept
    return FeedChange(
        name=name,
        version=revision.version,
        sha256=kept.sha256 if kept else None,
        created_at=format_instant(kept.created_ns) if kept else None,
        changed=revision.changed,
        dry_run=dry_run,
        diff=None if revision.before is None else list(revision.diff),
        links={"self": f"/v1/feeds/{name}", "versions": f"/v1/feeds/{name}/versions"},
    )


def _version(text: FeedText, before: FeedText | None, principal: Principal) -> FeedVersion:
    return FeedVersion(
        version=text.version,
        created_at=format_instant(text.created_ns),
        sha256=text.sha256,
        diff=None if before is None else _shown(changes(before.text, text.text), principal),
        links={"self": f"/v1/feeds/{text.name}?version={text.version}"},
    )


def _shown(found: tuple[Change, ...], principal: Principal) -> list[Change]:
    return list(found if "admin" in principal.scopes else without_source(found))


def _named(text: FeedText) -> str:
    return f"{text.name} (version {text.version})"


def _expected(header: str | None) -> int | None:
    if header is None:
        return None
    match = _IF_MATCH.fullmatch(header.strip())
    if match is None:
        message = 'If-Match is the number of one version, such as "3"'
        raise InputError(message, (Fault("$header.If-Match", "invalid", message),))
    return int(match[1])


async def _body(request: AnyRequest) -> bytes:
    """The whole body. Raises LimitError as soon as it is over the limit."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FEED:
            raise LimitError("max_feed", MAX_FEED, f"A feed definition has at most {MAX_FEED >> 10} KiB.")
    return bytes(body)


def _text(body: bytes, source: str) -> str:
    """The body as text. Raises FeedDefinitionError for what is none, and for what was not meant to be TOML."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte {error.start} is wrong"
    else:
        if not text.lstrip().startswith("{"):
            return text
        message = "this is JSON; a feed is TOML text: send the file itself, as `curl -T feed.toml` does"
    raise FeedDefinitionError(f"{source}: {message}", (Fault(f"{source}:1", "invalid_toml", message),))


FEED_ADMIN_ROUTES: Final = [put_feed, list_versions, diff_versions]
