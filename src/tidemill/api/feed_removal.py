"""The route that removes a feed, its data kept or deleted.

The removal is durable before its answer: from then on the feed is in no list, its sources are not polled and nothing is
taken for it. Its versions stay, so that what it stored can be read, verified and deleted by them.
"""

from typing import Annotated, Final, Literal
from urllib.parse import quote

import msgspec
from anyio import to_thread
from litestar import Response, delete
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api import prefer
from tidemill.api.deletion_requests import WAIT_S, submit_deletion
from tidemill.api.deletions import DryRun
from tidemill.api.reads_common import AnyRequest, answers_with, ask_store, operation_of, parse_query, problem_spec
from tidemill.api.services import Services, newest_version
from tidemill.catalog.keys import Principal
from tidemill.catalog.replays import CatalogReplays
from tidemill.errors import ConflictError, Fault, FeedDefinitionError, InputError
from tidemill.model.deletion import Deletion
from tidemill.model.feed_text import FeedRemoval
from tidemill.model.job import UNDER_WAY
from tidemill.model.time import format_instant
from tidemill.query.deletion_receipts import DeletionItem
from tidemill.query.feed_contents import FeedContents, read_contents
from tidemill.query.parameters import QueryParameters, one_of
from tidemill.sources.state_store import delete_sources

_CHOICE: Final = (
    "say with `data` what becomes of the feed's data: `data=keep` removes the feed, and its series, receipts and"
    " rejections can still be read; `data=delete` deletes them, too. `dry_run=true` says how much there is"
)


class FeedRemovalQuery(QueryParameters, frozen=True):
    """What becomes of the data of a feed that is removed."""

    data: Annotated[
        Literal["keep", "delete"] | None,
        one_of(
            "`keep`: it can still be read. `delete`: it is deleted, too. Needed, except in a dry run.", "keep", "delete"
        ),
    ] = None
    dry_run: DryRun = False


class RemovedFeed(msgspec.Struct, frozen=True):
    """The removal of a feed at its highest version. `data` and `removed_at` are null in a dry run. `contents`: what of
    the feed is applied now; only in a dry run. `deletion`: the receipt of the deletion of its data, if that was asked
    for."""

    name: str
    version: int
    dry_run: bool
    data: Literal["keep", "delete"] | None
    removed_at: str | None
    contents: FeedContents | None
    deletion: DeletionItem | None
    links: dict[str, str]


@delete(
    "/v1/feeds/{feed:str}",
    tags=["admin"],
    summary="Remove a feed, its data kept or deleted",
    operation_id="removeFeed",
    operation_class=operation_of(FeedRemovalQuery),
    status_code=200,
    responses={
        **answers_with(RemovedFeed, "The feed is removed, or it was a dry run.", 400, 404, 503),
        **answers_with(RemovedFeed, "The feed is removed; its data is deleted soon.", status=202),
        409: problem_spec("A replay of the feed is under way."),
    },
    opt={"scope": "admin"},
)
async def remove_feed(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[RemovedFeed]:
    """Ends a feed: it is in no list, its sources are not polled, and what is sent to it is answered 410. `data=keep`:
    its series (marked `removed`), receipts, rejections and `/v1/why` still answer, and its retention goes on.
    `data=delete`: they are deleted as with `DELETE /v1/feeds/{feed}/data`. State, cursors and tokens of its sources are
    deleted either way. Applying a definition under the name brings the feed back, with the next version. The data of a
    feed that was removed can be deleted later by the same request."""
    query, tenant = parse_query(request, FeedRemovalQuery), principal.tenant
    if query.data is None and not query.dry_run:
        raise InputError(_CHOICE, (Fault("$query.data", "missing", _CHOICE),))
    version = await _newest_number(services, tenant, feed)
    if query.dry_run:
        contents = await ask_store(lambda: read_contents(services.store, tenant, feed))
        return Response(_answer(feed, version, None, contents=contents), status_code=200)
    assert query.data is not None
    removal = await to_thread.run_sync(_remove, services, tenant, feed)
    if query.data == "keep":
        return Response(_answer(feed, version, removal), status_code=200)
    preferred_s = prefer.preferred_wait_s(request.headers.get("prefer"), services.settings.max_wait)
    deletion = Deletion(kind="feed", feed=feed, erase_s=services.settings.erase_within)
    item = await submit_deletion(services, tenant, version, deletion, WAIT_S if preferred_s is None else preferred_s)
    removal = await to_thread.run_sync(services.texts.note_deleted, tenant, feed, removal)
    services.book.refresh()
    headers = prefer.location_headers(f"/v1/deletions/{item.id}", preferred_s)
    status = 202 if item.state == "requested" else 200
    return Response(_answer(feed, version, removal, deletion=item), status_code=status, headers=headers)


async def _newest_number(services: Services, tenant: str, feed: str) -> int:
    """The newest version of a feed, also of one whose definition this server cannot read. Raises NotFoundError."""
    try:
        return (await newest_version(services.book, tenant, feed)).version
    except FeedDefinitionError:
        return (await to_thread.run_sync(services.texts.versions, tenant, feed))[-1].version


def _remove(services: Services, tenant: str, feed: str) -> FeedRemoval:
    """Remove a feed, durable on return, for this process at once. Its data is kept so far: the removal says that it was
    deleted once the deletion is durable. Raises ConflictError while a replay of the feed is under way."""
    for replay in CatalogReplays(services.catalog).list(tenant):
        if replay.request.feed == feed and replay.state in UNDER_WAY:
            raise ConflictError(
                f"The replay {replay.id} of the feed '{feed[:100]}' is {replay.state}. Wait until it is over, or cancel"
                f" it with DELETE /v1/jobs/{replay.id}; then remove the feed. Nothing was changed."
            )
    known = services.texts.current(tenant, feed)
    kept = known.removal.data if known is not None and known.removal is not None else "keep"
    removal = services.texts.remove(tenant, feed, kept)
    services.book.refresh()
    delete_sources(services.catalog, tenant, feed)
    return removal


def _answer(
    feed: str,
    version: int,
    removal: FeedRemoval | None,
    *,
    contents: FeedContents | None = None,
    deletion: DeletionItem | None = None,
) -> RemovedFeed:
    name = quote(feed, safe="")
    links = {"series": f"/v1/series?feed={name}", "receipts": f"/v1/receipts?feed={name}"}
    return RemovedFeed(
        name=feed,
        version=version,
        dry_run=removal is None,
        data=removal.data if removal else None,
        removed_at=format_instant(removal.removed_ns) if removal else None,
        contents=contents,
        deletion=deletion,
        links=links | {"versions": f"/v1/feeds/{name}/versions"},
    )


REMOVAL_ROUTES: Final = [remove_feed]
