"""Routes that delete data on request, for administrators, and the routes of deletion receipts.

`deletion_requests.py` makes the deletions durable.
"""

from typing import Annotated, Any, Final

from litestar import Response, delete
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.deletion_requests import answer_deletion, check_deletable_alone
from tidemill.api.reads_common import (
    AnyRequest,
    ReadCall,
    answer_specs,
    answers_with,
    ask_store,
    operation_of,
    parse_query,
    problem_spec,
    reading,
)
from tidemill.api.services import Services, newest_version
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, GoneError, InputError, NotFoundError
from tidemill.model.deletion import Deletion
from tidemill.query import readers
from tidemill.query.deletion_receipts import DeletionItem, DeletionPage, DeletionsQuery, KeptPage, KeptPayloadsQuery
from tidemill.query.parameters import Parameter, QueryParameters, RangeParameters, Tags

DryRun = Annotated[
    bool,
    Parameter(
        "`true`: only say how much would be deleted, of what is applied now; nothing is changed.",
        lambda text, context: readers.choice("true", "false")(text, context) == "true",
        {"type": "boolean"},
    ),
]


class WholeDeletionQuery(QueryParameters, frozen=True):
    """The parameters of a deletion of something as a whole."""

    dry_run: DryRun = False


class SeriesDeletionQuery(RangeParameters, frozen=True):
    """The range of a series that is deleted."""

    dry_run: DryRun = False


class FeedDeletionQuery(SeriesDeletionQuery, frozen=True):
    """The records of a feed that are deleted: by tags and range."""

    tags: Tags = {}


def _deletion_answers(text: str) -> dict[int, Any]:
    applied = answers_with(DeletionItem, f"{text} The deletion is applied, or it was a dry run.", 400, 404, 503)
    return applied | answers_with(DeletionItem, "Durable; it is applied soon.", status=202)


@delete(
    "/v1/series/{series:str}/points",
    tags=["ledger"],
    summary="Delete a range of a series",
    operation_id="deletePointsOfSeries",
    operation_class=operation_of(SeriesDeletionQuery),
    status_code=200,
    responses={**_deletion_answers("The receipt."), 409: problem_spec("Its records have other fields, too.")},
    opt={"scope": "admin"},
)
async def delete_points_of_series(
    series: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[DeletionItem]:
    """Deletes the points of one series in [start, end), at least one bound given, from every answer, from their rollup
    windows, the ledger and the log. A payload keeps its bytes unless all its records are deleted. A sealed rollup
    window (its points have expired) is emptied if the range covers all of it; a window that the range cuts stays."""
    query = parse_query(request, SeriesDeletionQuery)
    _check_bounded(query.start, query.end, "series", f"DELETE /v1/series/{series}")
    described = await ask_store(lambda: services.queries.series.describe(principal.tenant, series))
    feed = await newest_version(services.book, principal.tenant, described.feed)
    check_deletable_alone(feed, series)
    deletion = Deletion(
        kind="range",
        feed=feed.name,
        series=series,
        start_ns=query.start,
        end_ns=query.end,
        erase_s=services.settings.erase_within,
    )
    return await answer_deletion(services, request, principal.tenant, feed.version, deletion, dry_run=query.dry_run)


@delete(
    "/v1/feeds/{feed:str}/points",
    tags=["ledger"],
    summary="Delete records of a feed by tags and range",
    operation_id="deletePointsOfFeed",
    operation_class=operation_of(FeedDeletionQuery),
    status_code=200,
    responses=_deletion_answers("The receipt."),
    opt={"scope": "admin"},
)
async def delete_points_of_feed(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[DeletionItem]:
    """Deletes the records of all series with these tags (none given: all series of the feed) in [start, end), with all
    their fields; a tag or a bound is needed. Otherwise like a range of a series; with tags alone, the series themselves
    are deleted. A record rejected before its series was known is selected by its time, not by tags: delete its payload.
    Until the answer is 200 the records may still be in answers."""
    query = parse_query(request, FeedDeletionQuery)
    if not query.tags:
        _check_bounded(query.start, query.end, "feed", f"DELETE /v1/feeds/{feed}/data")
    current = await newest_version(services.book, principal.tenant, feed)
    deletion = Deletion(
        kind="range",
        feed=current.name,
        tags=query.tags,
        start_ns=query.start,
        end_ns=query.end,
        erase_s=services.settings.erase_within,
    )
    return await answer_deletion(services, request, principal.tenant, current.version, deletion, dry_run=query.dry_run)


@delete(
    "/v1/feeds/{feed:str}/data",
    tags=["ledger"],
    summary="Delete everything of a feed",
    operation_id="deleteFeedData",
    operation_class=operation_of(WholeDeletionQuery),
    status_code=200,
    responses=_deletion_answers("The receipt."),
    opt={"scope": "admin"},
)
async def delete_feed_data(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[DeletionItem]:
    """Deletes every point, rollup window, rejection and payload of the feed. Its definition and all versions of it
    stay, and so do receipts (state `deleted`, with sha256 and counts) and the ledger of polls, which holds hashes only.
    Payloads sent afterwards are taken as those of a new feed. `DELETE /v1/feeds/{feed}` removes the feed itself."""
    query = parse_query(request, WholeDeletionQuery)
    current = await newest_version(services.book, principal.tenant, feed)
    deletion = Deletion(kind="feed", feed=current.name, erase_s=services.settings.erase_within)
    return await answer_deletion(services, request, principal.tenant, current.version, deletion, dry_run=query.dry_run)


@delete(
    "/v1/receipts/{receipt:str}",
    tags=["ledger"],
    summary="Delete one payload",
    operation_id="deletePayload",
    operation_class=operation_of(WholeDeletionQuery),
    status_code=200,
    responses={**_deletion_answers("The receipt of the deletion."), 410: problem_spec("It is deleted already.")},
    opt={"scope": "admin"},
)
async def delete_payload(
    receipt: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[DeletionItem]:
    """Deletes the points of one payload, its rejections and its bytes. Its receipt stays with state `deleted`, sha256
    and counts. Values that it replaced stay replaced, and duplicates rejected because of it stay rejected: a deletion
    is not a replay."""
    query = parse_query(request, WholeDeletionQuery)
    tenant = principal.tenant
    payload = await ask_store(lambda: services.queries.receipts.receipt(tenant, receipt))
    if payload.state == "deleted" or services.pending_deletions.hides_payload(tenant, receipt):
        raise GoneError(f"payload '{receipt}' is deleted already")
    if await ask_store(lambda: services.queries.deletions.exists(tenant, receipt)):
        raise NotFoundError(f"'{receipt}' is the receipt of a deletion; there is no payload of this id")
    deletion = Deletion(kind="payload", feed=payload.feed, receipt=receipt, erase_s=services.settings.erase_within)
    return await answer_deletion(services, request, tenant, payload.rules_version, deletion, dry_run=query.dry_run)


@reading(
    "/v1/deletions",
    DeletionsQuery,
    scope="admin",
    tags=["ledger"],
    summary="List the deletions",
    responses=answer_specs(DeletionPage, "A page of deletion receipts, newest first."),
)
def list_deletions(call: ReadCall[DeletionsQuery]) -> DeletionPage:
    """Every deletion of this tenant, newest first: what was requested, how much it concerned, and whether the bytes are
    erased from disk."""
    return call.queries.deletions.list_deletions(call.tenant, call.query, call.services.applied.through(call.tenant))


@reading(
    "/v1/deletions/{deletion_id:str}",
    QueryParameters,
    scope="admin",
    tags=["ledger"],
    summary="One deletion receipt",
    responses=answer_specs(DeletionItem, "The receipt."),
)
def get_deletion(call: ReadCall[QueryParameters], deletion_id: str) -> DeletionItem:
    """`requested`: durable, not applied yet. `applied`: in no answer any more. `erased`: the bytes are no longer in the
    files of the store and of the log either."""
    return call.queries.deletions.receipt(call.tenant, deletion_id)


@reading(
    "/v1/deletions/{deletion_id:str}/payloads",
    KeptPayloadsQuery,
    scope="admin",
    tags=["ledger"],
    summary="Payloads that kept their bytes",
    responses=answer_specs(KeptPage, "A page of receipts."),
)
def list_kept_payloads(call: ReadCall[KeptPayloadsQuery], deletion_id: str) -> KeptPage:
    """Payloads that hold deleted records beside others, so that their bytes were kept. To erase those bytes too, delete
    the payload by its receipt."""
    return call.queries.deletions.list_kept_payloads(call.tenant, deletion_id, call.query)


def _check_bounded(start_ns: int | None, end_ns: int | None, kind: str, whole: str) -> None:
    """Raise InputError where neither bound is given. `kind` is `series` or `feed`, `whole` the request that deletes all
    of it."""
    if start_ns is None and end_ns is None:
        message = f"say which part with `start` or `end`; everything of the {kind} is deleted with {whole}"
        raise InputError(message, (Fault("$query.start", "missing", message),))


DELETION_ROUTES: Final = [
    delete_points_of_series,
    delete_points_of_feed,
    delete_feed_data,
    delete_payload,
    list_deletions,
    get_deletion,
    list_kept_payloads,
]
