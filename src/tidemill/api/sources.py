"""Routes of pull sources: the state of each, its polls, and how much of a time range its polls cover.

For keys with the scope `read`. Secrets were removed from the details of failures before those were stored.
"""

from typing import Any, Final
from urllib.parse import quote

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.reads_common import ReadCall, answer_specs, problem_spec, reading
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.feeds.book import missing_feed
from tidemill.model.time import format_instant
from tidemill.query.answers import Page
from tidemill.query.polls import PollPage, Polls, PollsQuery, PollSummary, PollSummaryQuery
from tidemill.sources.state import SourceState, State
from tidemill.sources.state_store import read_states

_NO_FEED: Final = {404: problem_spec("No such feed.")}


class SourceItem(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one item of a source, as its poller wrote it last. `state`: `ok`, `empty` (nothing was there),
    `unchanged` (nothing new was there), `slow`; `failing` or `open` (not polled until `next_due_at`) with `reason` and
    `detail`. `retry_at`: the server `retry_host` wants no request before then. `next_try_at`: the later of both, when
    the source is polled next. `since_at`: when the state began. Counts are since the first poll; `reached`: the share
    of polls that were answered usefully (null: there was none). Times are RFC 3339."""

    feed: str
    item: str
    state: State
    since_at: str | None
    last_poll_at: str | None
    last_data_at: str | None
    last_status: int | None
    latency_ms: float | None
    reason: str | None
    detail: str | None
    next_due_at: str | None
    retry_at: str | None
    retry_host: str | None
    cursor: str | None
    waiting: int
    polls: int
    payloads: int
    payload_bytes: int
    empty: int
    unchanged: int
    failures: int
    failures_in_a_row: int
    next_try_at: str | None
    reached: float | None
    links: dict[str, str]


class SourceList(msgspec.Struct, frozen=True):
    """Sources, ordered by feed and item."""

    items: list[SourceItem]


@get("/v1/sources", tags=["admin"], summary="List the sources", operation_id="listSources", sync_to_thread=True)
def list_sources(principal: NamedDependency[Principal], services: NamedDependency[Services]) -> SourceList:
    """Each source of this tenant: the result of its last poll, the time of the next one, and how far it has read.
    Shipped feeds poll for the tenant `default` only; another tenant has sources once it applies a feed with a
    `[source]`."""
    removed = services.book.removed(principal.tenant)  # the poller deletes what is kept of their sources
    states = read_states(services.catalog, principal.tenant)
    return SourceList([source_item(state) for state in states if state.feed not in removed])


@get(
    "/v1/sources/{feed:str}",
    tags=["admin"],
    summary="The sources of one feed",
    operation_id="getSources",
    responses={**_NO_FEED, 410: problem_spec("The feed was removed.")},
    sync_to_thread=True,
)
def get_sources(
    feed: FromPath[str], principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> SourceList:
    """Each item that the feed's `[source]` polls; none for a feed without a `[source]` or not polled yet."""
    services.book.check_in_force(principal.tenant, feed)
    states = read_states(services.catalog, principal.tenant)
    return SourceList([source_item(state) for state in states if state.feed == feed])


@reading(
    "/v1/sources/{feed:str}/polls",
    PollsQuery,
    tags=["admin"],
    summary="The polls of a feed's sources",
    responses=answer_specs(PollPage, "A page of polls; `next` is the cursor of the following one.", more=True),
)
def list_polls(call: ReadCall[PollsQuery], feed: str) -> Page:
    """The poll ledger, newest first. `start` and `end` are times at which polls began. A row is written within about a
    second of the end of its poll. As csv a text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    _check_feed_exists(call.services, call.principal, feed)
    return Polls(call.services.store).answer_polls(call.tenant, feed, call.query)


@reading(
    "/v1/sources/{feed:str}/polls/summary",
    PollSummaryQuery,
    tags=["admin"],
    summary="How much of the time a feed's sources were reached",
    responses=answer_specs(PollSummary, "Polls by result, the time they speak for, and the longest outage."),
)
def summarize_polls(call: ReadCall[PollSummaryQuery], feed: str) -> PollSummary:
    """Distinguishes "the source had nothing", "the source could not be reached" and "the source was not polled". A poll
    covers the time until the next poll of its item, or until that was due if it came more than a minute late."""
    _check_feed_exists(call.services, call.principal, feed)
    return Polls(call.services.store).summary(call.tenant, feed, call.query, call.services.clock())


def source_item(state: SourceState) -> SourceItem:
    """A source's state as the API answers it: `..._ns` becomes `..._at`, RFC 3339."""
    members: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(state).items():
        if name.endswith("_ns"):
            members[name.removesuffix("_ns") + "_at"] = format_instant(value) if value else None
        elif name != "tenant":
            members[name] = value
    path = f"/v1/sources/{quote(state.feed, safe='')}"
    item = f"?item={quote(state.item, safe='')}" if state.item else ""
    due = [ns for ns in (state.next_due_ns, state.retry_ns) if ns]
    members["next_try_at"] = format_instant(max(due)) if due else None
    members["reached"] = round(1 - state.failures / state.polls, 6) if state.polls else None
    return SourceItem(**members, links={"polls": f"{path}/polls{item}", "summary": f"{path}/polls/summary{item}"})


def _check_feed_exists(services: Services, principal: Principal, feed: str) -> None:
    if services.texts.current(principal.tenant, feed) is None:
        raise missing_feed(feed)


SOURCE_ROUTES: Final = [list_sources, get_sources, list_polls, summarize_polls]
