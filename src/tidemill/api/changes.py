"""Routes of changes: a page to poll, and a stream of server-sent events that a client can resume at any event."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.response import Stream

from tidemill.api.followers import AGAIN_S, Follower, Followers
from tidemill.api.reads_common import AnyRequest, ReadCall, answer_specs, ask_store, operation_of, parse_query, reading
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, FeedDefinitionError, InputError, StoreQueryError, UnavailableError
from tidemill.query.changes import ChangeEvent, ChangeKeys, ChangePage, Changes, ChangesQuery, ChangeStreamQuery

KEEP_ALIVE_S: Final = 15.0
RETRY_MS: Final = 2000
_PAGE_SIZE: Final = 200  # changes read for one follower at a time: some 80 kB
_log = logging.getLogger(__name__)


@reading(
    "/v1/changes",
    ChangesQuery,
    tags=["ledger"],
    summary="Which published values changed",
    responses=answer_specs(
        ChangePage, "A page of changes; `next` is always given, also when there is nothing more yet."
    ),
)
def list_changes(call: ReadCall[ChangesQuery]) -> ChangePage:
    """Points that were replaced and rollup windows that were restated, oldest first: old value, new value, reason, and
    the payload that caused it. `since` is a time of change or an `id`. A window that grows with time is no change.
    `next` is never null: a client that follows changes sends it with its next request. 404 for an unknown feed."""
    check_feed(call.services, call.tenant, call.query.feed)
    return call.queries.changes.list_changes(call.tenant, call.query)


@get(
    "/v1/changes/stream",
    tags=["ledger"],
    summary="Changes as they happen",
    operation_id="followChanges",
    operation_class=operation_of(ChangeStreamQuery),
    responses=answer_specs(ChangeEvent, "Events `change`, with the `id` of each.", "text/event-stream"),
    opt={"scope": "read"},
)
async def follow_changes(
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
    followers: NamedDependency[Followers],
) -> Stream:
    """Server-sent events: `event: change`, `data:` as an item of `/v1/changes`, `id:` the cursor behind it. Starts
    after the header `Last-Event-ID`, else at `since`, else now. Sends a comment after every 15 s without an event."""
    query, changes, tenant = parse_query(request, ChangeStreamQuery), services.queries.changes, principal.tenant
    last = _last_event(request, changes, tenant)
    await ask_store(lambda: check_feed(services, tenant, query.feed))
    start = await ask_store(lambda: _stream_start(changes, tenant, query.since)) if last is None else last
    follower = followers.add_follower(tenant)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_events(followers, follower, changes, query, start), media_type="text/event-stream", headers=headers)


def _last_event(request: AnyRequest, changes: Changes, tenant: str) -> ChangeKeys | None:
    """The offsets that `Last-Event-ID` names; null without the header. Raises InputError."""
    text = request.headers.get("last-event-id", "")
    if not text:
        return None
    try:
        return changes.open_cursor(tenant, text)
    except ValueError as error:
        message = f"Last-Event-ID {error}"
        raise InputError(message, (Fault("$header.Last-Event-ID", "invalid", message),)) from None


def check_feed(services: Services, tenant: str, feed: str | None) -> None:
    """Raise NotFoundError for a feed that the tenant does not have; one with an unreadable definition has changes."""
    if feed:
        with suppress(FeedDefinitionError):
            services.book.newest(tenant, feed)


def _stream_start(changes: Changes, tenant: str, since: str | int | None) -> ChangeKeys:
    return changes.newest_keys(tenant) if since is None else changes.start_keys(tenant, since=since)


async def _events(
    followers: Followers, follower: Follower, changes: Changes, query: ChangeStreamQuery, start: ChangeKeys
) -> AsyncIterator[bytes]:
    """The stream after `start`, until the client or the server ends it. The first lines carry `start` as an `id`, so
    that a client that loses the connection before the first event resumes there."""
    reached, tenant = start, follower.tenant
    try:
        yield f"retry: {RETRY_MS}\nid: {changes.seal_cursor(tenant, reached)}\n\n".encode()
        while not followers.ended:
            after = reached
            try:
                page = await followers.ask_store(lambda: changes.read_after(tenant, query, after, _PAGE_SIZE))  # noqa: B023
            except (UnavailableError, StoreQueryError) as error:
                _log.info("a stream waits for the store: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            reached = page.reached
            if page.items:
                yield b"".join(_event(item) for item in page.items)
            while not page.more and not await followers.wait_for_change(follower, reached, KEEP_ALIVE_S):
                yield b": keep-alive\n\n"
    finally:
        followers.remove_follower(follower)


def _event(item: ChangeEvent) -> bytes:
    return b"id: " + item.id.encode() + b"\nevent: change\ndata: " + msgspec.json.encode(item) + b"\n\n"


CHANGE_ROUTES: Final = [list_changes, follow_changes]
