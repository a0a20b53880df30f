"""Routes that list feeds and read the data of each in its own shape, as a bare JSON array; `Link` leads to the next
page. `feed_admin.py` creates feeds, `feed_versions.py` lists their versions."""

from typing import Annotated, Any, Final

import msgspec
from anyio import to_thread

from tidemill.api.reads_common import (
    ReadCall,
    answer_specs,
    answers_with,
    ask_store,
    problem_spec,
    reading,
    reading_feed,
)
from tidemill.errors import FeedDefinitionError, NotFoundError, StoreQueryError, UnavailableError
from tidemill.feeds.book import removed_error
from tidemill.feeds.definition import Definition, Feed
from tidemill.model.time import format_instant
from tidemill.query import readers
from tidemill.query.answers import Page
from tidemill.query.feeds import FeedPoint, FeedPointsQuery, FeedWindow, RollupsQuery
from tidemill.query.flow import FeedNow
from tidemill.query.meterdata import Measurements, MeasurementsQuery
from tidemill.query.parameters import Parameter, QueryParameters
from tidemill.query.rows import RowLineage, RowLineageQuery, RowsQuery, SummaryRow


class FeedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A feed in the list. `flow`: how it flows now, with `flow=true`; it is left out where nothing came within the last
    hour and nothing waits."""

    name: str
    title: str
    description: str
    version: int
    formats: tuple[str, ...]
    shape: str
    duplicates: str
    polls: bool
    links: dict[str, str]
    flow: FeedNow | None = None


class FeedPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every feed of a tenant, ordered by name. `flow_missing`: why no feed has the `flow` that was asked for."""

    items: list[FeedItem]
    flow_missing: str | None = None


class FeedsQuery(QueryParameters, frozen=True):
    """What of the feeds is listed."""

    flow: Annotated[
        bool,
        Parameter(
            "`true`: also how each feed flows now, in the last minute and the last hour.",
            readers.true_or_false,
            {"type": "boolean", "default": False},
        ),
    ] = False


class FeedDetail(msgspec.Struct, frozen=True):
    """One feed: its definition as data, and its exact text (for administrators: sources may hold secrets).
    `definition` is null where this server cannot read the text, for instance because a plug-in that it names is not
    installed; `fault` is the reason."""

    name: str
    version: int
    sha256: str
    created_at: str
    definition: Definition | None
    text: str | None
    fault: str | None


class FeedQuery(QueryParameters, frozen=True):
    """The version of the feed to show."""

    version: Annotated[
        int | None,
        Parameter(
            "This version of the feed, exactly; without it the one in force.",
            readers.limit(999_999_999),
            {"type": "integer", "minimum": 1},
        ),
    ] = None


@reading(
    "/v1/feeds",
    FeedsQuery,
    tags=["admin"],
    summary="List the feeds",
    responses=answers_with(FeedPage, "Request fulfilled, document follows", 400),
)
async def list_feeds(call: ReadCall[FeedsQuery]) -> FeedPage:
    """Every feed of this tenant, ordered by name, in the version that is in force; with `flow=true` also how each flows
    now. Answers also while the store is down: then no feed has a `flow`, and `flow_missing` says why."""
    flows: dict[str, FeedNow] = {}
    missing = None
    if call.query.flow:
        try:
            flows = await ask_store(lambda: call.queries.flow.now(call.tenant, call.services.clock()))
        except (UnavailableError, StoreQueryError) as error:
            missing = error.message
    feeds = await to_thread.run_sync(call.services.book.list, call.tenant)
    return FeedPage([msgspec.structs.replace(feed_item(feed), flow=flows.get(feed.name)) for feed in feeds], missing)


@reading(
    "/v1/feeds/{feed:str}",
    FeedQuery,
    of_store=False,
    tags=["admin"],
    summary="One feed",
    responses={
        **answers_with(FeedDetail, "Request fulfilled, document follows", 400, 404),
        410: problem_spec("The feed was removed; its versions can be read."),
    },
)
def get_feed(call: ReadCall[FeedQuery], feed: str) -> FeedDetail:
    """The definition in force, or that of `version` (also of a feed that was removed), and for administrators its TOML
    text. A version never changes."""
    texts, number, admin = call.services.texts, call.query.version, "admin" in call.principal.scopes
    text = texts.current(call.tenant, feed) if number is None else texts.version(call.tenant, feed, number)
    if text is None:
        raise NotFoundError(f"there is no {'' if number is None else f'version {number} of a '}feed '{feed[:100]}'")
    if text.removal is not None:
        raise removed_error(feed, text.removal)
    definition, fault = None, None
    try:
        definition = call.services.book.version(call.tenant, feed, text.version).without_source
    except FeedDefinitionError as error:  # a fault may quote the text
        fault = error.message if admin else "this server cannot read the definition; an administrator sees why"
    return FeedDetail(
        name=text.name,
        version=text.version,
        sha256=text.sha256,
        created_at=format_instant(text.created_ns),
        definition=definition,
        text=text.text if admin else None,
        fault=fault,
    )


@reading_feed(
    "/v1/feeds/{feed:str}/points",
    FeedPointsQuery,
    tags=["feeds"],
    summary="A feed's points",
    responses=answer_specs(list[FeedPoint], "Points in time order.", more=True),
)
def list_feed_points(call: ReadCall[FeedPointsQuery], feed: Feed) -> Page:
    """Points of one field in [start, end), in time order. A feed with several fields needs `field`; its tags filter,
    also by their plain names."""
    return call.queries.feeds.points(call.tenant, feed, call.query)


@reading_feed(
    "/v1/feeds/{feed:str}/rows",
    RowsQuery,
    tags=["feeds"],
    summary="A feed's summary rows",
    responses=answer_specs(list[SummaryRow], "Rows in time order.", more=True),
)
def list_rows(call: ReadCall[RowsQuery], feed: Feed) -> Page:
    """Mean, deviations and count of each record of a feed with shape `summary`, and the receipt of its payload."""
    return call.queries.rows.read_rows(call.tenant, feed, call.query)


@reading_feed(
    "/v1/feeds/{feed:str}/rows/{time:str}/lineage",
    RowLineageQuery,
    tags=["feeds"],
    summary="Where a row comes from",
    responses=answer_specs(RowLineage, "The row, its payload, the rules that made it, and every row it replaced."),
)
def get_lineage(call: ReadCall[RowLineageQuery], feed: Feed, time: str) -> RowLineage:
    """Leads from a row (its time in any offset) to the exact payload that made it, the version of the rules, and every
    earlier row of the same time, newest first."""
    return call.queries.rows.lineage(call.tenant, feed, time, call.query)


@reading_feed(
    "/v1/feeds/{feed:str}/rollups",
    RollupsQuery,
    tags=["feeds"],
    summary="A feed's rollup windows",
    responses=answer_specs(list[FeedWindow], "Windows in time order: time, tags, averages by field, count.", more=True),
)
def list_rollups(call: ReadCall[RollupsQuery], feed: Feed) -> Page:
    """One row for each window and set of tags. The mean of a field has the field's name, other aggregates are named
    `field_aggregate`; `count` is the number of records in the window. Tags filter, also by their plain names
    (`user_id=a1`). With `evidence=true` also `n`, `expected`, `coverage`, `rejected`, `late`, `restated_at`, `sealed`,
    and for a feed with a source the results of its polls."""
    return call.queries.feeds.rollups(call.tenant, feed, call.query)


@reading(
    "/meterdata/measurement",
    MeasurementsQuery,
    tags=["feeds"],
    summary="Meter data in the shape of its source",
    responses=answer_specs(Measurements, "Records of meters, newest first unless `order` is `asc`."),
)
def list_measurements(call: ReadCall[MeasurementsQuery]) -> Measurements:
    """Records in [start, stop), at most `limit`, newest first as the source answers, or with `order=asc` oldest first;
    each register (OBIS code) under its own key. Timestamps are UTC with three fraction digits."""
    return call.queries.meterdata.measurements(call.tenant, call.query)


def feed_item(feed: Feed) -> FeedItem:
    """A feed as the list shows it."""
    return FeedItem(
        name=feed.name,
        title=feed.title,
        description=feed.description,
        version=feed.version,
        formats=feed.input.formats,
        shape=feed.shape.kind,
        duplicates=feed.duplicates,
        polls=feed.source is not None,
        links={"self": f"/v1/feeds/{feed.name}", "rejections": f"/v1/rejections?feed={feed.name}"},
    )


FEED_ROUTES: Final[list[Any]] = [
    list_feeds,
    get_feed,
    list_feed_points,
    list_rows,
    get_lineage,
    list_rollups,
    list_measurements,
]
