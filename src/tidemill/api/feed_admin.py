"""The route that creates feeds and new versions of them; `feed_versions.py` lists the versions.

`feeds/revise.py` checks the text. A version is in force in this process before the request that made it is answered,
and in other processes within a second.
"""

import os
import re
from contextlib import suppress
from typing import Annotated, Final, Literal

import msgspec
from anyio import to_thread
from litestar import Response, put
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, RequestBody, Schema
from litestar.openapi.spec import Parameter as ParameterSpec
from litestar.params import FromPath

from tidemill.api.reads_common import AnyRequest, operation_of, parse_query, problem_spec
from tidemill.api.services import Services, in_force
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, FeedDefinitionError, InputError, LimitError, TidemillError
from tidemill.feeds.revise import Revision, revise_feed
from tidemill.feeds.variables import visible_variables
from tidemill.model.feed_text import DefinitionChange
from tidemill.model.time import format_instant
from tidemill.query.parameters import QueryParameters, one_of

MAX_FEED: Final = 256 << 10  # bytes of a definition; the longest recipe has 2 KiB
_BODY_LIMIT: Final = 64 << 20  # for Litestar; above MAX_FEED, whose error names the limit
_IF_MATCH: Final = re.compile(r'"?([0-9]{1,9})"?', re.ASCII)
_CURL_FORM: Final = "application/x-www-form-urlencoded"
_CURL_HINT: Final = "curl -d takes line breaks out of a file; send it with -T or --data-binary."


class PutFeedQuery(QueryParameters, frozen=True):
    """Whether a text is stored, or only checked."""

    dry_run: Annotated[
        Literal["true", "false"],
        one_of("Check the text and answer with what it would change; change nothing.", "true", "false"),
    ] = "false"


class FeedChange(msgspec.Struct, frozen=True):
    """The result of sending a feed's text. `diff` is null for a new feed, [] where only comments or layout changed."""

    name: str
    version: int
    sha256: str | None
    created_at: str | None
    changed: bool
    dry_run: bool
    diff: list[DefinitionChange] | None
    links: dict[str, str]


class _PutFeed(operation_of(PutFeedQuery)):  # type: ignore[misc]
    """The OpenAPI operation with its body and headers, which Litestar does not derive."""

    def __post_init__(self) -> None:
        super().__post_init__()
        toml = Schema(type=OpenAPIType.STRING, description="A feed definition (TOML, at most 256 KiB).")
        self.request_body = RequestBody(content={"application/toml": OpenAPIMediaType(schema=toml)}, required=True)
        condition = 'The version this change was made for, such as "3"; 412 where another is in force.'
        new_only = "`*`: make a new feed; 412 where there is one of this name."
        self.parameters += [
            ParameterSpec(name=name, param_in="header", description=text, schema=Schema(type=OpenAPIType.STRING))
            for name, text in (("If-Match", condition), ("If-None-Match", new_only))
        ]


@put(
    "/v1/feeds/{feed:str}",
    tags=["admin"],
    summary="Make a feed, or its next version",
    operation_id="putFeed",
    operation_class=_PutFeed,
    responses={
        200: ResponseSpec(FeedChange, generate_examples=False, description="A new version, or the same text again."),
        201: ResponseSpec(FeedChange, generate_examples=False, description="A new feed, at version 1."),
        400: problem_spec("The definition is at fault."),
        408: problem_spec("The text did not arrive in time."),
        412: problem_spec("Another version is in force than If-Match or If-None-Match says."),
        413: problem_spec("The text is longer than 256 KiB."),
    },
    opt={"scope": "admin"},
    request_max_body_size=_BODY_LIMIT,
)
async def put_feed(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[FeedChange]:
    """The body is the feed's TOML text, whatever its content type: `curl -T pumps.toml .../v1/feeds/pumps`. A text with
    any fault is refused as a whole, each fault named with its line, and the version in force stays. Payloads sent after
    the answer are taken under the new version; earlier ones keep theirs. Sending the text in force again makes no new
    version."""
    query = parse_query(request, PutFeedQuery)
    expect = _expected(request.headers.get("if-match"), request.headers.get("if-none-match"))
    dry_run = query.dry_run == "true"
    source = f"{feed[:80]}.toml"
    bound, closed = services.settings.source_variables, services.keys.ever_keys()
    environment = visible_variables(os.environ, bound, principal.tenant, closed=closed)
    body = await _body(request)

    def work() -> Revision:
        text = _text(body, source)
        to = (services.texts, principal.tenant, feed)
        return revise_feed(*to, text, source=source, environment=environment, expect=expect, dry_run=dry_run)

    try:
        revision = await to_thread.run_sync(work)
    except FeedDefinitionError as error:
        lost_lines = request.headers.get("content-type") == _CURL_FORM and b"\n" not in body
        if lost_lines and body.strip() and not body.startswith(b"{"):
            raise FeedDefinitionError(f"{error.message}\n{_CURL_HINT}", error.faults) from None
        raise
    services.book.refresh()
    if not dry_run:
        with suppress(TidemillError):  # the version is durable; the next request that needs it compiles it again
            await in_force(services.book, principal.tenant, feed)
    answer = _change(feed, revision, dry_run=dry_run)
    if dry_run:
        return Response(answer, status_code=200)
    headers = {"ETag": f'"{revision.version}"'}
    return Response(answer, status_code=201 if revision.before is None else 200, headers=headers)


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


def _expected(header: str | None, none_match: str | None) -> int | None:
    """The version that must be in force; 0: no feed of this name may exist; null: any. Raises InputError."""
    if none_match is not None:
        if header is None and none_match.strip() == "*":
            return 0
        message = "If-None-Match is * (make a new feed, change none), without an If-Match"
        raise InputError(message, (Fault("$header.If-None-Match", "invalid", message),))
    if header is None:
        return None
    match = _IF_MATCH.fullmatch(header.strip())
    if match is None:
        message = 'If-Match is the number of one version, such as "3"'
        raise InputError(message, (Fault("$header.If-Match", "invalid", message),))
    return int(match[1])


async def _body(request: AnyRequest) -> bytes:
    """The whole body. Raises LimitError as soon as more than MAX_FEED bytes came, InputError for one cut off."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_FEED:
                raise LimitError("max_feed", MAX_FEED, f"A feed definition has at most {MAX_FEED >> 10} KiB.")
    except InternalServerException:  # Litestar's error for a client that disconnected
        raise InputError("The body ended before it was whole; nothing was changed.") from None
    return bytes(body)


def _text(body: bytes, source: str) -> str:
    """The body as text. Raises FeedDefinitionError for bytes that are no text, an empty body, and JSON."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte {error.start} is wrong"
    else:
        if text.strip() and not text.lstrip().startswith("{"):
            return text
        given = "this is JSON; a feed is TOML text" if text.strip() else "the body is empty"
        message = f"{given}: send the file itself, as `curl -T feed.toml` does"
    raise FeedDefinitionError(f"{source}: {message}", (Fault(f"{source}:1", "invalid_toml", message),))


FEED_ADMIN_ROUTES: Final = [put_feed]
