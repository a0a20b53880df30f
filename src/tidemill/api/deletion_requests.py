"""Makes deletions durable, hides what they name, and previews them.

A deletion is an entry of the log: it concerns what was submitted before its offset. It is durable before its answer.
"""

from typing import Final

from litestar import Response

from tidemill.api import prefer
from tidemill.api.problems import NotDeletableError
from tidemill.api.reads_common import AnyRequest, ask_store
from tidemill.api.services import Services
from tidemill.feeds.definition import Feed
from tidemill.model.deletion import Deletion, deletion_payload
from tidemill.model.ids import new_receipt
from tidemill.query.deletion_receipts import DeletionItem, preview_item, requested_item
from tidemill.store.deletions import find_payload_offset, read_evidence, read_feed_series, read_scope

WAIT_S: Final = 5.0  # for the mill, unless `Prefer: wait=N` says otherwise
_ANY_OFFSET: Final = (1 << 63) - 1


def check_deletable_alone(feed: Feed, series: str) -> None:
    """Raise NotDeletableError for a series whose records cannot be divided between it and other series: rows of
    statistics, or records of several fields of which the first submitted counts as a whole."""
    several = len(feed.fields) > 1 or feed.registers is not None
    if feed.shape.kind == "summary" or (feed.first_wins and several):
        raise NotDeletableError(
            f"The series '{series}' belongs to the feed '{feed.name}': its points come from records that other series"
            f" have points of, too, so it cannot be deleted by itself. Delete whole records, by tags or range, with"
            f" DELETE /v1/feeds/{feed.name}/points."
        )


async def answer_deletion(
    services: Services, request: AnyRequest, tenant: str, feed_version: int, deletion: Deletion, *, dry_run: bool
) -> Response[DeletionItem]:
    """The answer to a request that deletes: the receipt of the submitted deletion (200: applied, 202: durable), or with
    `dry_run` its preview. Raises LogUnavailableError."""
    if dry_run:
        return Response(await ask_store(lambda: preview_deletion(services, tenant, deletion)), status_code=200)
    preferred_s = prefer.preferred_wait_s(request.headers.get("prefer"), services.settings.max_wait)
    wait_s = WAIT_S if preferred_s is None else preferred_s
    item = await submit_deletion(services, tenant, feed_version, deletion, wait_s)
    headers = prefer.location_headers(f"/v1/deletions/{item.id}", preferred_s)
    return Response(item, status_code=202 if item.state == "requested" else 200, headers=headers)


async def submit_deletion(
    services: Services, tenant: str, feed_version: int, deletion: Deletion, wait_s: float, *, read_back: bool = True
) -> DeletionItem:
    """Make a deletion durable, hide what it names, and wait at most `wait_s` seconds until the mill has applied it.

    Returns its receipt: as applied, or as requested where it is not applied in time or not to be `read_back`. Raises
    LogUnavailableError: nothing was acknowledged.
    """
    hidden: list[int] = []
    if deletion.kind == "feed":
        hidden = await ask_store(lambda: read_feed_series(services.store, tenant, deletion.feed))
    now_ns = services.clock()
    entry = deletion_payload(
        deletion, tenant=tenant, receipt=new_receipt(now_ns), received_ns=now_ns, feed_version=feed_version
    )
    appended = await services.log.append_async(entry)
    services.pending_deletions.add_deletion(tenant, deletion, appended.seq, hidden)
    services.applied.log_grew(appended.seq)
    if not await services.applied.wait_until_applied(tenant, appended.seq, wait_s):
        return requested_item(entry)
    services.pending_deletions.erase_due.set()
    if not read_back:
        return requested_item(entry)
    item: DeletionItem = await ask_store(lambda: services.queries.deletions.receipt(tenant, entry.receipt))
    return item


def preview_deletion(services: Services, tenant: str, deletion: Deletion) -> DeletionItem:
    """What a deletion would concern of what is applied now. Writes nothing."""
    payload_seq = (find_payload_offset(services.store, tenant, deletion.receipt) or 0) if deletion.receipt else None
    scope = read_scope(services.store, tenant, deletion, _ANY_OFFSET, payload_offset=payload_seq)
    return preview_item(deletion, read_evidence(services.store, scope))
