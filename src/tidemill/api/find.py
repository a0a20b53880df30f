"""The route of the find box: what a short text names."""

from typing import Final

from tidemill.api.reads_common import ReadCall, answers_with, reading
from tidemill.query.find import FindQuery, Hits


@reading(
    "/v1/find",
    FindQuery,
    tags=["series"],
    summary="Find a series, a feed, a receipt or an instant",
    responses=answers_with(Hits, "Hits by kind.", 400),
)
def find(call: ReadCall[FindQuery]) -> Hits:
    """What a text names: series and feeds by words, receipts by the begin of their id or of their SHA-256, and times
    (`pump 1 yesterday 14:42`, in `tz`) with the series that the other words match. Answers also while the store is
    down: `missing` then names what could not be searched."""
    feeds = call.services.book.list(call.tenant)
    return call.queries.finder.find(call.tenant, call.query, feeds, call.services.clock())


FIND_ROUTES: Final = [find]
