"""Builds the HTTP application: the front layer with the intake routes, and Litestar with all other routes.

`server.py` runs it; `service.py` chooses its parts.
"""

from functools import cache
from typing import Any, Final

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from tidemill.api import lifecycle, litestar_errors, openapi
from tidemill.api.admission import SAFE_METHODS, Admission
from tidemill.api.analyses import Analyses
from tidemill.api.analysis_reads import ANALYSIS_ROUTES
from tidemill.api.analysis_warm_up import WARM_UP
from tidemill.api.auth import Authenticator
from tidemill.api.body import Gate
from tidemill.api.changes import CHANGE_ROUTES
from tidemill.api.compression import CompressedAnswers
from tidemill.api.cross_origin import CrossOrigin
from tidemill.api.deletions import DELETION_ROUTES
from tidemill.api.feed_admin import FEED_ADMIN_ROUTES
from tidemill.api.feed_removal import REMOVAL_ROUTES
from tidemill.api.feed_trial import TRIAL_ROUTES
from tidemill.api.feed_versions import VERSION_ROUTES
from tidemill.api.feeds import FEED_ROUTES
from tidemill.api.find import FIND_ROUTES
from tidemill.api.flow import FLOW_ROUTES
from tidemill.api.followers import Followers
from tidemill.api.forecasts import FORECAST_ROUTES
from tidemill.api.front import Front, Routes, client_address
from tidemill.api.guide import GUIDE_ROUTES
from tidemill.api.guide_files import GuideFiles
from tidemill.api.health import HEALTH_ROUTES, Health
from tidemill.api.hosts import ServerHosts
from tidemill.api.influx_health import INFLUX_HEALTH_ROUTES
from tidemill.api.influx_routes import InfluxRoutes
from tidemill.api.intake import Intake
from tidemill.api.intake_routes import IntakeRoutes
from tidemill.api.jobs import JOB_ROUTES
from tidemill.api.keys import KEY_ROUTES
from tidemill.api.ledger import LEDGER_ROUTES
from tidemill.api.limits import LIMIT_ROUTES
from tidemill.api.metrics import Metrics
from tidemill.api.open_intake import OpenIntake
from tidemill.api.outcomes import Outcomes
from tidemill.api.page import PAGE_FILE_ROUTES
from tidemill.api.page_files import PageFiles
from tidemill.api.pages import PAGE_ROUTES
from tidemill.api.points_reads import POINTS_ROUTES
from tidemill.api.points_routes import PointsRoutes
from tidemill.api.prometheus_routes import PrometheusRoutes
from tidemill.api.proxies import TrustedProxies
from tidemill.api.receipt_answers import ReceiptAnswers
from tidemill.api.records import RECORD_ROUTES
from tidemill.api.replays import REPLAY_ROUTES
from tidemill.api.rules import RULE_ROUTES
from tidemill.api.series import SeriesRoutes
from tidemill.api.series_reads import SERIES_ROUTES
from tidemill.api.services import Services
from tidemill.api.session import SESSION_ROUTES, SignIn, keep_sessions
from tidemill.api.sources import SOURCE_ROUTES
from tidemill.api.status import STATUS_ROUTES, StoreFacts
from tidemill.api.storage import STORAGE_ROUTES
from tidemill.api.stream import STREAM_ROUTES
from tidemill.api.uneven_reads import UNEVEN_ROUTES
from tidemill.api.verify import VERIFY_ROUTES
from tidemill.api.worker_pool import WorkerPool, pool_lifespan
from tidemill.catalog.keys import Principal
from tidemill.catalog.sessions import SessionRing
from tidemill.settings import origins_of

HANDLERS: Final[list[Any]] = [
    *HEALTH_ROUTES, *FEED_ROUTES, *FEED_ADMIN_ROUTES, *REMOVAL_ROUTES, *VERSION_ROUTES, *SOURCE_ROUTES, *RULE_ROUTES,
    *VERIFY_ROUTES, *PAGE_ROUTES, *SERIES_ROUTES, *POINTS_ROUTES, *LEDGER_ROUTES, *CHANGE_ROUTES, *REPLAY_ROUTES,
    *DELETION_ROUTES, *JOB_ROUTES, *ANALYSIS_ROUTES, *PAGE_FILE_ROUTES, *TRIAL_ROUTES, *RECORD_ROUTES,
    *SESSION_ROUTES, *KEY_ROUTES, *STORAGE_ROUTES, *LIMIT_ROUTES, *FLOW_ROUTES, *STATUS_ROUTES, *STREAM_ROUTES,
    *FIND_ROUTES, *FORECAST_ROUTES, *UNEVEN_ROUTES, *INFLUX_HEALTH_ROUTES, *GUIDE_ROUTES,
]  # fmt: skip
FIXED_PATHS: Final = frozenset(path for handler in HANDLERS for path in handler.paths if "{" not in path)


class Document:
    """The OpenAPI document, made once in a process, when it is first requested (it takes most of a second)."""

    @property
    def data(self) -> dict[str, Any]:
        """The document as plain data, which nobody may change."""
        return _document()


@cache
def _document() -> dict[str, Any]:
    return openapi.describe_api(HANDLERS, _dependencies({}))


def create_app(services: Services) -> Front:
    """The ASGI application over `services`. Its lifespan starts the background work and closes the log at its end."""
    gate, metrics = Gate(), Metrics()
    hosts = ServerHosts(services.settings.host, services.settings.hosts)
    shared_origins = CrossOrigin(origins_of(services.settings.cors_origins))
    sessions = SessionRing(services.catalog, services.keys, services.clock)
    authenticator = Authenticator(services.keys, sessions, hosts, open_access=services.open_access)
    intake = Intake(services, gate, metrics)
    outcomes = Outcomes(services)
    answers = ReceiptAnswers(outcomes, services.settings.max_wait)
    open_intake = OpenIntake(services, intake, gate, metrics)
    points = PointsRoutes(open_intake, answers, authenticator)
    routes = Routes(
        [
            *IntakeRoutes(services, intake, authenticator, answers, points).routes(),
            *points.routes(),
            *InfluxRoutes(open_intake, authenticator).routes(),
            *PrometheusRoutes(open_intake, authenticator).routes(),
            *SeriesRoutes(services, intake, authenticator, outcomes).routes(),
        ],
        others=FIXED_PATHS,
    )
    health = Health(services, gate, metrics, lambda: authenticator.is_open)
    shared = {"services": services, "queries": services.queries, "health": health, "document": Document()}
    shared |= {"authenticator": authenticator, "page": PageFiles(services.page_folder)}
    shared |= {"guide": GuideFiles(services.guide_folder)}
    shared |= {"sessions": sessions}
    shared |= {"sign_in": SignIn(services.keys, sessions, authenticator)}
    shared |= {"store_facts": StoreFacts(services)}
    pool = WorkerPool()
    shared |= {"analyses": Analyses(pool)}
    shared |= {"followers": Followers(services.queries.changes, services.applied)}

    def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Admit a request with the scope of its handler (default `read`; null: no key). Raises AccessError."""
        scope = handler.opt.get("scope", "read")
        if scope is not None:
            headers, address = dict(connection.scope["headers"]), client_address(connection.scope)
            connection.scope["needs"] = scope  # type: ignore[typeddict-unknown-key]
            unsafe = connection.scope["method"] not in SAFE_METHODS  # type: ignore[typeddict-item]
            principal = authenticator.authorize(headers, scope, address, unsafe=unsafe)
            connection.scope["principal"] = principal  # type: ignore[typeddict-unknown-key]

    inner = Litestar(
        HANDLERS,
        guards=[guard],
        middleware=[CompressedAnswers],
        dependencies=_dependencies(shared),
        exception_handlers=litestar_errors.exception_handlers(routes.methods),
        lifespan=[
            lifecycle.lifespan(services, health),
            keep_sessions(services.catalog, services.keys, sessions),
            pool_lifespan(pool, WARM_UP if services.warm_workers else ()),
        ],
        state=State(shared),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=services.settings.max_body,
    )
    return Front(
        inner,
        routes,
        gate,
        metrics,
        allowed=lambda path: litestar_errors.allowed_methods(inner, path, routes.methods),
        admission=Admission(hosts, shared_origins),
        proxies=TrustedProxies(services.settings.trusted_proxies),
        shared=shared_origins,
        admitted=lambda scope: authenticator.still_admits(dict(scope["headers"]), scope.get("needs")),
    )


def _principal(request: Request[Any, Any, Any]) -> Principal:
    principal: Principal = request.scope["principal"]  # type: ignore[typeddict-item]
    return principal


def _dependencies(shared: dict[str, Any]) -> dict[str, Provide]:
    """The arguments that Litestar gives to handlers by name: `principal`, and the members of `shared`."""

    def provide(name: str) -> Provide:
        return Provide(lambda: shared[name], sync_to_thread=False)

    names = (
        "services", "queries", "health", "document", "followers", "authenticator", "store_facts", "page", "sign_in",
        "sessions", "guide",
    )  # fmt: skip
    return {"principal": Provide(_principal, sync_to_thread=False), **{name: provide(name) for name in names}}
