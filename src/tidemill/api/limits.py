"""Routes of what bounds the data: how long the points of each feed are kept, which can be set here, and the limits of
the server, which its operator sets with variables of the environment and which are read-only here."""

import os
from typing import Annotated, Any, Final, Literal

import msgspec
from anyio import to_thread
from litestar import Response, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.feed_admin import FeedChange, expected_version, feed_change
from tidemill.api.json_body import convert_document, decode_document, refuse_faults
from tidemill.api.openapi_struct_body import struct_body
from tidemill.api.reads_common import AnyRequest, answers_with, problem_spec
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault
from tidemill.feeds.book import missing_feed
from tidemill.feeds.retention_text import with_retention
from tidemill.feeds.revise import Revision, revise_feed
from tidemill.feeds.variables import visible_variables
from tidemill.settings import Settings

Unit = Literal["bytes", "seconds", "days", "times", "share", "count"]
_ADMIN: Final = {"scope": "admin"}
_LIMITS: Final[dict[str, Unit]] = {
    "max_body": "bytes",
    "max_bulk_body": "bytes",
    "max_unpacked": "bytes",
    "max_ratio": "times",
    "max_depth": "count",
    "body_timeout": "seconds",
    "max_wait": "seconds",
    "query_timeout": "seconds",
    "query_memory": "bytes",
    "worker_memory": "bytes",
    "log_keep_s": "seconds",
    "log_keep_bytes": "bytes",
    "min_free_bytes": "bytes",
    "min_free_ratio": "share",
    "erase_within": "seconds",
    "job_keep_days": "days",
    "job_keep": "count",
}


class RetentionBody(msgspec.Struct, frozen=True):
    """How long the points of a feed are kept."""

    points: Annotated[
        str | None,
        msgspec.Meta(description="Points expire so long after they were received: `30d`, `12h`. Null: never."),
    ] = None
    seal_rollups: Annotated[
        bool, msgspec.Meta(description="The rollup of a window stays for good when its points expire.")
    ] = False


class FeedRetention(msgspec.Struct, frozen=True):
    """How long the points of a feed are kept after they were received (`points`; null: for good), and whether its
    rollups stay. `version`: the definition that says so."""

    feed: str
    version: int
    points: str | None
    seal_rollups: bool
    links: dict[str, str]


class LimitItem(msgspec.Struct, frozen=True):
    """A limit of the server, read-only: its operator sets `variable` in the environment and starts the server again."""

    name: str
    value: float
    unit: Unit
    meaning: str
    variable: str


class LimitsView(msgspec.Struct, frozen=True):
    """What bounds the data. `retention`, by feed, is set with `PUT /v1/feeds/{feed}/retention`; `limits` are
    read-only."""

    retention: list[FeedRetention]
    limits: list[LimitItem]


@get(
    "/v1/limits",
    tags=["admin"],
    summary="How long data is kept, and the limits",
    operation_id="getLimits",
    responses=answers_with(LimitsView, "Retention by feed, and the limits of the server."),
    opt=_ADMIN,
)
async def get_limits(principal: NamedDependency[Principal], services: NamedDependency[Services]) -> LimitsView:
    """How long the points of each feed are kept, and the limits of the server with the variables that set them. There
    are no quotas by tenant."""
    feeds = await to_thread.run_sync(services.book.list, principal.tenant)
    retention = [
        FeedRetention(
            feed=feed.name,
            version=feed.version,
            points=feed.retention.points,
            seal_rollups=feed.retention.seal_rollups,
            links={"feed": f"/v1/feeds/{feed.name}", "retention": f"/v1/feeds/{feed.name}/retention"},
        )
        for feed in feeds
    ]
    return LimitsView(retention, _limits(services.settings))


@put(
    "/v1/feeds/{feed:str}/retention",
    tags=["admin"],
    summary="Set how long points are kept",
    operation_id="putRetention",
    operation_class=struct_body(RetentionBody),
    status_code=200,
    responses={
        **answers_with(FeedChange, "The next version of the definition, or the same.", 400, 404),
        412: problem_spec("Another version is in force than If-Match says."),
    },
    opt=_ADMIN,
)
async def put_retention(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[FeedChange]:
    """Makes the next version of a feed's definition, with this `[retention]` and otherwise the same text. `If-Match`
    names the version that it was made for. Points that are older expire soon after the answer, for good."""
    body = _retention_body(decode_document(await request.body()))
    expect = expected_version(request.headers.get("if-match"), None)
    environment = visible_variables(
        os.environ, services.settings.source_variables, principal.tenant, closed=services.keys.ever_keys()
    )

    def work() -> Revision:
        known = services.texts.current(principal.tenant, feed)
        if known is None or known.removal:
            raise missing_feed(feed)
        text = with_retention(known.text, body.points, seal_rollups=body.seal_rollups)
        to, source = (services.texts, principal.tenant, feed), f"{feed[:80]}.toml"
        return revise_feed(*to, text, source=source, environment=environment, expect=expect or known.version)

    revision = await to_thread.run_sync(work)
    services.book.refresh()
    headers = {"ETag": f'"{revision.version}"'}
    return Response(feed_change(feed, revision, dry_run=False), headers=headers)


def _retention_body(data: Any) -> RetentionBody:
    """The body of a request. `points` is in it, also as null: what is left out by mistake keeps nothing for good."""
    body, faults = convert_document(data, RetentionBody)
    if isinstance(data, dict) and "points" not in data:
        faults.append(Fault("$.points", "missing", "'points' is missing; null keeps points for good"))
    refuse_faults(faults)
    assert body is not None
    return body


def _limits(settings: Settings) -> list[LimitItem]:
    meanings = {name: hint.__metadata__[0].description for name, hint in Settings.__annotations__.items()}
    return [
        LimitItem(name, getattr(settings, name), unit, meanings[name], f"TIDEMILL_{name.upper()}")
        for name, unit in _LIMITS.items()
    ]


LIMIT_ROUTES: Final = [get_limits, put_retention]
