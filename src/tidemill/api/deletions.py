"""Routes that delete on request, for administrators, and the receipts of that.

A deletion is an entry of the log like any other, so it has its place among the payloads: it concerns what was
submitted before it. It is durable before it is answered.
"""

from typing import Annotated, Final

from litestar import Response, delete
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from tidemill.api import prefer
from tidemill.api.problems import NotDeletableError
from tidemill.api.reads_common import AnyRequest, ReadCall, answers, ask, parameters, problem, reading, taking
from tidemill.api.services import Services, in_force
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, GoneError, InputError, NotFoundError
from tidemill.feeds.definition import Feed
from tidemill.model import deletion
from tidemill.model.deletion import Deletion
from tidemill.model.ids import new_receipt
from tidemill.query import readers
from tidemill.query.deletion_receipts import (
    DeletionItem,
    DeletionPage,
    DeletionsQuery,
    KeptPage,
    KeptPayloadsQuery,
    preview_item,
    requested_item,
)
from tidemill.query.parameters import Parameter, QueryParameters, RangeParameters, Tags
from tidemill.store.deletions import find_payload_offset, read_evidence, read_feed_series, read_scope

WAIT_S: Final = 5.0  # for the mill, unless `Prefer: wait=N` says otherwise
_ANY_PLACE: Final = (1 << 63) - 1


DryRun = Annotated[
    bool,
    Parameter(
        "`true`: only say how much would be deleted, of what is applied now; nothing is changed.",
        lambda text, context: readers.choice("true", "false")(text, context) == "true",
        {"type": "boolean"},
    ),
]


class WholeDeletionQuery(QueryParameters, frozen=True):
    """Of something that is deleted as a whole."""

    dry_run: DryRun = False


class SeriesDeletionQuery(RangeParameters, frozen=True):
    """Which range of a series."""

    dry_run: DryRun = False


class FeedDeletionQuery(SeriesDeletionQuery, frozen=True):
    """Which records of a feed."""

    tags: Tags = {}


def _documented(text: str) -> dict[int, ResponseSpec]:
    known = answers(DeletionItem, f"{text} The deletion is applied, or it was a dry run.")
    later = ResponseSpec(DeletionItem, generate_examples=False, description="Durable; it is applied soon.")
    return {200: known[200], 202: later, **{code: known[code] for code in (400, 404, 503)}}


@delete(
    "/v1/series/{series:str}/points",
    tags=["ledger"],
    summary="Delete a range of a series",
    operation_id="deletePointsOfSeries",
    operation_class=taking(SeriesDeletionQuery),
    status_code=200,
    responses={
        **_documented("The receipt."),
        409: problem("Its records have other fields, too."),
    },
    opt={"scope": "admin"},
)
async def delete_points_of_series(
    series: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[DeletionItem]:
    """The points of one series in [start, end), one bound at least, go from every answer, from their rollup windows,
    the ledger and the log. A payload keeps its bytes unless every record of it is deleted. A rollup window that is
    sealed (its points are past retention) is emptied where the range holds all of it; one that the range cuts is final
    and stays."""
    query = parameters(request, SeriesDeletionQuery)
    _bounded(query.start, query.end, "series", f"DELETE /v1/series/{series}")
    described = await ask(lambda: services.queries.series.describe(principal.tenant, series))
    feed = await in_force(services.book, principal.tenant, described.feed)
    check_alone(feed, series)
    wanted = Deletion(
        kind="range",
        feed=feed.name,
        series=series,
        start_ns=query.start,
        end_ns=query.end,
        erase_s=services.settings.erase_within,
    )
    return await answer(services, request, principal.tenant, feed.version, wanted, dry_run=query.dry_run)


@delete(
    "/v1/feeds/{feed:str}/points",
    tags=["ledger"],
    summary="Delete records of a feed by tags and range",
    operation_id="deletePointsOfFeed",
    operation_class=taking(FeedDeletionQuery),
    status_code=200,
    responses=_documented("The receipt."),
    opt={"scope": "admin"},
)
async def delete_points_of_feed(
    feed: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[DeletionItem]:
    """The records of all series with these tags (none given: all series of the feed) in [start, end), with all their
    fields; a tag or a bound is needed. Like a range of a series otherwise; by tags alone, the series go as such.
    A record that was rejected before it was known what series it is of is found by its time, not by tags: delete its
    payload. Until the answer is 200 the records may still be in answers."""
    query = parameters(request, FeedDeletionQuery)
    if not query.tags:
        _bounded(query.start, query.end, "feed", f"DELETE /v1/feeds/{feed}")
    current = await in_force(services.book, principal.tenant, feed)
    wanted = Deletion(
        kind="range",
        feed=current.name,
        tags=query.tags,
        start_ns=query.start,
        end_ns=query.end,
        erase_s=services.settings.erase_within,
    )
    return await answer(services, request, principal.tenant, current.version, wanted, dry_run=query.dry_run)


@delete(
    "/v1/feeds/{feed:str}",
    tags=["ledger"],
    summary="Delete everything of a feed",
    operation_id="deleteFeedData",
    operation_class=taking(WholeDeletionQuery),
    status_code=200,
    responses=_documented("The receipt."),
    opt={"scope": "admin"},
)
async def delete_feed(
    feed: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[DeletionItem]:
    """Every point, rollup window, rejection and payload of the feed. Its definition and all versions of it stay, and
    so do receipts (state `deleted`, with sha256 and counts) and the ledger of polls, which holds hashes only. What is
    sent afterwards begins anew."""
    query = parameters(request, WholeDeletionQuery)
    current = await in_force(services.book, principal.tenant, feed)
    wanted = Deletion(kind="feed", feed=current.name, erase_s=services.settings.erase_within)
    return await answer(services, request, principal.tenant, current.version, wanted, dry_run=query.dry_run)


@delete(
    "/v1/receipts/{receipt:str}",
    tags=["ledger"],
    summary="Delete one payload",
    operation_id="deletePayload",
    operation_class=taking(WholeDeletionQuery),
    status_code=200,
    responses={
        **_documented("The receipt of the deletion."),
        410: problem("It is deleted already."),
    },
    opt={"scope": "admin"},
)
async def delete_payload(
    receipt: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[DeletionItem]:
    """The points of one payload, its rejections and its bytes. Its receipt stays as state `deleted`, with sha256 and
    counts. What its values had replaced stays replaced, and duplicates that had lost to them stay rejected: a deletion
    is not a replay."""
    query = parameters(request, WholeDeletionQuery)
    tenant = principal.tenant
    found = await ask(lambda: services.queries.receipts.receipt(tenant, receipt))
    if found.state == "deleted" or services.deleted.payload_gone(tenant, receipt):
        raise GoneError(f"payload '{receipt}' is deleted already")
    if await ask(lambda: services.queries.deletions.exists(tenant, receipt)):
        raise NotFoundError(f"'{receipt}' is the receipt of a deletion; there is no payload of this id")
    wanted = Deletion(kind="payload", feed=found.feed, receipt=receipt, erase_s=services.settings.erase_within)
    return await answer(services, request, tenant, found.rules_version, wanted, dry_run=query.dry_run)


@reading(
    "/v1/deletions",
    DeletionsQuery,
    scope="admin",
    tags=["ledger"],
    summary="List the deletions",
    responses=answers(DeletionPage, "A page of deletion receipts, newest first."),
)
def list_deletions(call: ReadCall[DeletionsQuery]) -> DeletionPage:
    """Every deletion of this tenant, newest first: what was asked for, how much it was, and whether the bytes are gone
    from disk."""
    return call.queries.deletions.list_deletions(call.tenant, call.query, call.services.applied.through(call.tenant))


@reading(
    "/v1/deletions/{deletion_id:str}",
    QueryParameters,
    scope="admin",
    tags=["ledger"],
    summary="One deletion receipt",
    responses=answers(DeletionItem, "The receipt."),
)
def get_deletion(call: ReadCall[QueryParameters], deletion_id: str) -> DeletionItem:
    """`requested`: durable, not applied yet. `applied`: in no answer any more. `erased`: the bytes are gone from the
    files of the store and of the log, too."""
    return call.queries.deletions.receipt(call.tenant, deletion_id)


@reading(
    "/v1/deletions/{deletion_id:str}/payloads",
    KeptPayloadsQuery,
    scope="admin",
    tags=["ledger"],
    summary="Payloads that kept their bytes",
    responses=answers(KeptPage, "A page of receipts."),
)
def list_kept_payloads(call: ReadCall[KeptPayloadsQuery], deletion_id: str) -> KeptPage:
    """Payloads that hold deleted records beside others, so that their bytes were kept. Delete a payload by its receipt
    to let go of all of it."""
    return call.queries.deletions.list_kept_payloads(call.tenant, deletion_id, call.query)


def check_alone(feed: Feed, series: str) -> None:
    """Raise NotDeletableError for a series that shares its records with others in a way that cannot be told apart: a
    row of statistics, or records of which the first submitted counts as a whole."""
    several = len(feed.fields) > 1 or feed.registers is not None
    if feed.shape.kind == "summary" or (feed.first_wins and several):
        raise NotDeletableError(
            f"The series '{series}' belongs to the feed '{feed.name}': its points come from records that other series"
            f" have points of, too, so it cannot be deleted by itself. Delete whole records, by tags or range, with"
            f" DELETE /v1/feeds/{feed.name}/points."
        )


async def answer(
    services: Services, request: AnyRequest, tenant: str, feed_version: int, wanted: Deletion, *, dry_run: bool
) -> Response[DeletionItem]:
    """Ask for a deletion, or only say what it would be."""
    if dry_run:
        return Response(await ask(lambda: look(services, tenant, wanted)), status_code=200)
    preferred = prefer.wait_s(request.headers.get("prefer", "").encode() or None, services.settings.max_wait)
    item = await submit(services, tenant, feed_version, wanted, WAIT_S if preferred is None else preferred)
    headers = {"Location": f"/v1/deletions/{item.id}"}
    if preferred is not None:
        name, value = prefer.applied_header(preferred)
        headers[name.decode()] = value.decode()
    return Response(item, status_code=202 if item.state == "requested" else 200, headers=headers)


async def submit(
    services: Services, tenant: str, feed_version: int, wanted: Deletion, wait_s: float, *, told: bool = True
) -> DeletionItem:
    """Make a deletion durable, hide what it names, and wait for the mill; its receipt, applied or not (unless nobody is
    `told`: then as it was asked for). Raises LogUnavailableError: nothing was acknowledged."""
    hidden = await ask(lambda: read_feed_series(services.store, tenant, wanted.feed)) if wanted.kind == "feed" else []
    now_ns = services.clock()
    entry = deletion.deletion_payload(
        wanted, tenant=tenant, receipt=new_receipt(now_ns), received_ns=now_ns, feed_version=feed_version
    )
    appended = await services.log.append_async(entry)
    services.deleted.add(tenant, wanted, appended.seq, hidden)
    services.applied.grew(appended.seq)
    if await services.applied.wait(tenant, appended.seq, wait_s):
        services.deleted.erase.set()
        if not told:
            return requested_item(entry)
        found: DeletionItem = await ask(lambda: services.queries.deletions.receipt(tenant, entry.receipt))
        return found
    return requested_item(entry)


def look(services: Services, tenant: str, wanted: Deletion) -> DeletionItem:
    """What a deletion would concern, of what is applied now."""
    of = find_payload_offset(services.store, tenant, wanted.receipt) if wanted.receipt else None
    payload_offset = of if of is not None or not wanted.receipt else 0
    found = read_scope(services.store, tenant, wanted, _ANY_PLACE, payload_offset=payload_offset)
    return preview_item(wanted, read_evidence(services.store, found))


def _bounded(start_ns: int | None, end_ns: int | None, what: str, instead: str) -> None:
    if start_ns is None and end_ns is None:
        message = f"say which part with `start` or `end`; everything of the {what} is deleted with {instead}"
        raise InputError(message, (Fault("$query.start", "missing", message),))


DELETION_ROUTES: Final = [
    delete_points_of_series,
    delete_points_of_feed,
    delete_feed,
    delete_payload,
    list_deletions,
    get_deletion,
    list_kept_payloads,
]
