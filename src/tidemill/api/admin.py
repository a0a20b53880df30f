"""What is defined: feeds, and every reason code."""

from typing import Any, Final

import msgspec
from anyio import to_thread
from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from tidemill.api.feed_admin import FEED_ADMIN_ROUTES
from tidemill.api.jobs import JOB_ROUTES
from tidemill.api.problems import PROBLEMS
from tidemill.api.reads_common import AnyRequest, parameters, taking
from tidemill.api.rules import RULE_ROUTES
from tidemill.api.services import Services
from tidemill.api.sources import SOURCE_ROUTES
from tidemill.api.verify import VERIFY_ROUTES
from tidemill.catalog.keys import Principal
from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.definition import Feed
from tidemill.model.time import format_instant
from tidemill.query.parameters import VERSION
from tidemill.rules.reasons import REASONS

FEED_PARAMETERS: Final = (VERSION,)
FEED_PROBLEMS: Final = {
    400: ResponseSpec(dict[str, Any], generate_examples=False, description="The query is at fault."),
    404: ResponseSpec(dict[str, Any], generate_examples=False, description="No such feed, or no such version of it."),
}


class FeedItem(msgspec.Struct, frozen=True):
    """A feed in the list."""

    name: str
    title: str
    description: str
    version: int
    formats: tuple[str, ...]
    shape: str
    duplicates: str
    polls: bool
    links: dict[str, str]


class FeedPage(msgspec.Struct, frozen=True):
    """Every feed of a tenant, by name."""

    items: list[FeedItem]


class FeedDetail(msgspec.Struct, frozen=True):
    """One feed: its definition as data, and its text word for word (for administrators: sources may hold secrets).
    `definition` is null where this server cannot read the text, for instance because a plug-in that it names is not
    installed; `fault` says why."""

    name: str
    version: int
    sha256: str
    created_at: str
    definition: dict[str, Any] | None
    text: str | None
    fault: str | None


class Code(msgspec.Struct, frozen=True):
    """A stable code and what it means."""

    code: str
    meaning: str


class Codes(msgspec.Struct, frozen=True):
    """Codes of reasons (why a payload is refused, or a record rejected), and of problem documents."""

    reasons: list[Code]
    problems: list[Code]


@get("/v1/feeds", tags=["admin"], summary="List the feeds", operation_id="listFeeds", sync_to_thread=True)
def list_feeds(principal: NamedDependency[Principal], services: NamedDependency[Services]) -> FeedPage:
    """Every feed of this tenant, by name, in the version that is in force."""
    return FeedPage([feed_item(feed) for feed in services.book.list(principal.tenant)])


@get(
    "/v1/feeds/{feed:str}",
    tags=["admin"],
    summary="One feed",
    operation_id="getFeed",
    operation_class=taking(FEED_PARAMETERS),
    responses=FEED_PROBLEMS,
)
async def get_feed(
    feed: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> FeedDetail:
    """The definition in force, or that of `version`; and for administrators its TOML text. Versions never change."""
    number = parameters(request, FEED_PARAMETERS)["version"]
    # Not `sync_to_thread`: Litestar 2.25 wraps such a handler once more for every other method of its path.
    return await to_thread.run_sync(_detail, feed, number, principal, services)


def _detail(feed: str, number: int | None, principal: Principal, services: Services) -> FeedDetail:
    texts = services.texts
    text = texts.current(principal.tenant, feed) if number is None else texts.version(principal.tenant, feed, number)
    if text is None:
        raise NotFoundError(f"there is no {'' if number is None else f'version {number} of a '}feed '{feed[:100]}'")
    definition, fault = None, None
    try:
        definition = msgspec.to_builtins(services.book.version(principal.tenant, feed, text.version))
        definition.pop("source", None)
    except FeedDefinitionError as error:
        admin = "admin" in principal.scopes  # a fault may quote the text
        fault = error.message if admin else "this server cannot read the definition; an administrator sees why"
    return FeedDetail(
        name=text.name,
        version=text.version,
        sha256=text.sha256,
        created_at=format_instant(text.created_ns),
        definition=definition,
        text=text.text if "admin" in principal.scopes else None,
        fault=fault,
    )


@get("/v1/codes", tags=["admin"], summary="List every code", operation_id="listCodes", opt={"scope": None})
async def list_codes() -> Codes:
    """Every reason and every problem code, with its meaning. A feed may give a rule a code of its own."""
    return Codes(
        [Code(code, meaning) for code, meaning in REASONS.items()],
        [Code(code, f"{meaning.status} {meaning.title}. {meaning.help}") for code, meaning in PROBLEMS.items()],
    )


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


ADMIN_ROUTES: Final = [
    list_feeds,
    get_feed,
    list_codes,
    *SOURCE_ROUTES,
    *RULE_ROUTES,
    *FEED_ADMIN_ROUTES,
    *VERIFY_ROUTES,
    *JOB_ROUTES,
]
