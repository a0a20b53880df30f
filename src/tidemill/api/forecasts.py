"""Routes of stored forecasts: make, list, read, score and delete them.

A forecast is made as `GET /v1/series/{id}/forecast` makes one, by the same processes and from the same kept answers.
One that takes longer than its request waits becomes a job, which the worker begins anew.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar

from anyio import to_thread
from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.analyses import Receive
from tidemill.api.analysis_computation import analyses_of
from tidemill.api.analysis_reads import forecast_computation
from tidemill.api.body import ClientGoneError
from tidemill.api.forecast_request import forecast_request, idempotency_key, refuse_unfit
from tidemill.api.job_views import ForecastJob, forecast_job
from tidemill.api.jobs import queue_job
from tidemill.api.json_body import decode_document
from tidemill.api.openapi_bodies import PostForecast
from tidemill.api.prefer import location_headers, preferred_wait_s
from tidemill.api.problems import OverloadedError
from tidemill.api.reads_common import (
    AnyRequest,
    ReadCall,
    answer_specs,
    answers_with,
    ask_store,
    parse_query,
    problem_spec,
    reading,
)
from tidemill.api.services import Services, newest_version
from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.catalog.jobs import CatalogJobs
from tidemill.catalog.keys import Principal
from tidemill.errors import ConflictError, NotFoundError
from tidemill.model.forecast import Fit, ForecastRequest, StoredForecast
from tidemill.model.ids import new_receipt, parse_series
from tidemill.query import readers
from tidemill.query.answers import Page, json_page
from tidemill.query.cursors import encode_cursor
from tidemill.query.forecast_answers import (
    ForecastItem,
    ForecastPage,
    StoredForecastAnswer,
    forecast_item,
    stored_answer,
)
from tidemill.query.forecast_scores import ForecastScore
from tidemill.query.forecasts import ForecastStamp, forecast_query, store_forecast
from tidemill.query.parameters import TEXT, FeedName, Parameter, QueryParameters, limit_to, page_cursor

WAIT_S: Final = 0.25  # unless a request prefers another wait
LINGER_S: Final = 2.0  # that a fit goes on for nobody, which takes a few tenths
_lingering: Final[set[asyncio.Task[None]]] = set()  # else the event loop's tasks may be collected
_storing: Final = threading.Lock()  # of requests with a key: each looks for an earlier one, and then stores
_T = TypeVar("_T")
_CLIENT_GONE: Final = 499  # nobody reads this answer; it is counted
_JSON: Final = "application/json"


class ForecastsQuery(QueryParameters, frozen=True):
    """A page of stored forecasts."""

    series: Annotated[str | None, Parameter("Only of the series of this id.", readers.word, TEXT)] = None
    feed: FeedName = None
    limit: Annotated[int, limit_to(1000)] = 100
    cursor: Annotated[tuple[str] | None, page_cursor(str)] = None


@post(
    "/v1/forecasts",
    tags=["analysis"],
    summary="Make a forecast and store it",
    operation_id="createForecast",
    operation_class=PostForecast,
    status_code=201,
    responses={
        **answers_with(StoredForecastAnswer, "It is stored.", 400, 404, status=201),
        **answers_with(StoredForecastAnswer, "An earlier request with this Idempotency-Key stored it."),
        **answers_with(ForecastJob, "It takes longer than the wait: the job that makes and stores it.", status=202),
        409: problem_spec("Points were deleted meanwhile, or the Idempotency-Key was used for another forecast."),
        422: problem_spec("The series is not fit for it, or too many forecasts are stored."),
        503: problem_spec("Try again."),
    },
    opt={"scope": "admin"},
)
async def create_forecast(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[Any]:
    """Fits as `GET /v1/series/{id}/forecast` does, and stores the forecast with what it was made of, so that it can be
    scored by the values that come. A fit that takes longer than 250 ms, or than `Prefer: wait=N`, becomes a job that
    outlives the request; its result names the forecast. A request with an `Idempotency-Key` can be sent again: it makes
    one forecast. A deletion of points that a forecast was made of removes the forecast, too."""
    parse_query(request, QueryParameters)
    key = idempotency_key(request.headers.get("idempotency-key"))
    wanted = forecast_request(decode_document(await request.body()), key)
    wait_s = preferred_wait_s(request.headers.get("prefer"), services.settings.max_wait)
    earlier = await to_thread.run_sync(_earlier, services, principal.tenant, wanted)
    if earlier is not None:
        return _as_before(earlier, wait_s)
    try:
        forecast = await _made_within(
            WAIT_S if wait_s is None else wait_s,
            lambda receive: _make(request, principal, services, wanted, receive),
            request.receive,
        )
    except ClientGoneError:
        return Response(b"", status_code=_CLIENT_GONE, media_type=_JSON)
    except (TimeoutError, OverloadedError):
        await ask_store(lambda: refuse_unfit(services, principal.tenant, wanted))
        earlier, job = await to_thread.run_sync(_once, services, principal.tenant, wanted, _queue)
        return _queued(job, wait_s) if job is not None else _as_before(earlier, wait_s)

    def store(services: Services, *_: Any) -> StoredForecast:
        store_forecast(_forecasts(services), services.queries.stored_forecasts, forecast)
        return forecast

    earlier, stored = await ask_store(lambda: _once(services, principal.tenant, wanted, store))
    return _stored(stored, wait_s) if stored is not None else _as_before(earlier, wait_s)


@reading(
    "/v1/forecasts",
    ForecastsQuery,
    tags=["analysis"],
    summary="List the stored forecasts",
    responses=answer_specs(ForecastPage, "A page of stored forecasts, the newest first.", more=True),
)
def list_forecasts(call: ReadCall[ForecastsQuery]) -> Page:
    """The stored forecasts of this tenant, the newest first, without their values."""
    query = call.query
    before = (query.cursor or (None,))[0]
    chosen = [
        forecast
        for forecast in _present(call.services, call.tenant)
        if query.series in (None, forecast.request.series)
        and query.feed in (None, forecast.feed)
        and (before is None or forecast.id < before)
    ]
    page = chosen[: query.limit]
    following = encode_cursor(page[-1].id) if len(chosen) > len(page) else None
    return json_page(ForecastPage([forecast_item(forecast) for forecast in page], following), following)


@reading(
    "/v1/forecasts/{forecast:str}",
    QueryParameters,
    tags=["analysis"],
    summary="A stored forecast",
    responses=answer_specs(StoredForecastAnswer, "The forecast as it was made, and what it was made of."),
)
def get_stored_forecast(call: ReadCall[QueryParameters], forecast: str) -> Response[bytes]:
    """The forecast as it was made. It never changes; its score does."""
    return Response(stored_answer(_stored_forecast(call.services, call.tenant, forecast)), media_type=_JSON)


@reading(
    "/v1/forecasts/{forecast:str}/score",
    QueryParameters,
    tags=["analysis"],
    summary="How a stored forecast did",
    responses=answer_specs(ForecastScore, "The score by the values that have arrived."),
)
def get_forecast_score(call: ReadCall[QueryParameters], forecast: str) -> ForecastScore:
    """Scores the forecast by the values that are applied now, and by the same values as they were first known, where
    some were replaced since. Computed by each read: nothing is kept."""
    return call.queries.forecast_scores.score(_stored_forecast(call.services, call.tenant, forecast))


@delete(
    "/v1/forecasts/{forecast:str}",
    tags=["analysis"],
    summary="Delete a stored forecast",
    operation_id="deleteForecast",
    status_code=200,
    responses=answers_with(ForecastItem, "It is deleted; this is what it was.", 400, 404, 503),
    opt={"scope": "admin"},
)
async def delete_forecast(
    forecast: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> ForecastItem:
    """Deletes a stored forecast. The points of its series stay."""
    parse_query(request, QueryParameters)

    def remove() -> ForecastItem:
        stored = _stored_forecast(services, principal.tenant, forecast)
        _forecasts(services).remove(principal.tenant, forecast)
        return forecast_item(stored)

    return await ask_store(remove)


async def _made_within(
    wait_s: float, make: Callable[[Receive], Coroutine[Any, Any, StoredForecast]], receive: Receive
) -> StoredForecast:
    """The forecast that `make` makes within `wait_s` seconds; raises what it raises, else TimeoutError.

    Work that is not over then goes on for LINGER_S, although a job begins it anew: to end it is to kill its process,
    and the next one who asks would wait for another to start.
    """
    if wait_s <= 0:
        raise TimeoutError
    is_answered = False

    async def receive_until_answered() -> Any:
        message = await receive()
        if is_answered:  # the request is over: this says nothing of its client
            await asyncio.sleep(2 * LINGER_S)
        return message

    making = asyncio.create_task(make(receive_until_answered), name="make-forecast")
    try:
        done, _ = await asyncio.wait({making}, timeout=wait_s)
    except asyncio.CancelledError:
        making.cancel()
        raise
    if done:
        return making.result()
    is_answered = True
    lingering = asyncio.create_task(_end_later(making), name="linger")
    _lingering.add(lingering)
    lingering.add_done_callback(_lingering.discard)
    raise TimeoutError


async def _end_later(making: "asyncio.Task[StoredForecast]") -> None:
    """End work that nobody waits for, once LINGER_S are over; its outcome is nobody's."""
    with suppress(Exception):
        await asyncio.wait_for(making, LINGER_S)


async def _make(
    request: AnyRequest, principal: Principal, services: Services, wanted: ForecastRequest, receive: Receive
) -> StoredForecast:
    """The forecast of a request, from a kept answer or computed now; it is not stored yet."""
    reach = services.applied.refresh().through(principal.tenant)
    call = ReadCall(request, services, principal, forecast_query(wanted.parameters))
    subject, key, work = await forecast_computation(call, wanted.series)
    answer = await analyses_of(request).answer(key, work, receive)
    feed = await newest_version(services.book, principal.tenant, subject.described.feed)
    now_ns = services.clock()
    stamp = ForecastStamp(
        id=new_receipt(now_ns), created_ns=now_ns, request=wanted, feed_version=feed.version, reach=reach
    )
    return await ask_store(lambda: services.queries.stored_forecasts.make(subject, answer, stamp))


def _once(
    services: Services, tenant: str, wanted: ForecastRequest, work: Callable[[Services, str, ForecastRequest], _T]
) -> tuple[StoredForecast | Fit | None, _T | None]:
    """What `work` stores or queues, second; or, first, what another request with the same key did meanwhile: of two
    that are sent at once only one makes a forecast. Raises as `_earlier`."""
    if not wanted.key:
        return None, work(services, tenant, wanted)
    with _storing:
        earlier = _earlier(services, tenant, wanted)
        return (earlier, None) if earlier is not None else (None, work(services, tenant, wanted))


def _earlier(services: Services, tenant: str, wanted: ForecastRequest) -> StoredForecast | Fit | None:
    """The forecast, or the job that makes it, of an earlier request with the same key (None: without a key, too).
    Raises ConflictError where that request was another one."""
    if not wanted.key:
        return None
    stored = [forecast for forecast in _present(services, tenant) if forecast.request.key == wanted.key]
    fits = [
        job
        for job in CatalogJobs(services.catalog, Fit).under_way()
        if job.tenant == tenant and job.request.key == wanted.key
    ]
    earlier: list[StoredForecast | Fit] = [*stored, *fits]
    if any(made.request != wanted for made in earlier):
        raise ConflictError("this Idempotency-Key was used for another forecast; use a new one for this")
    return next(iter(earlier), None)


def _queue(services: Services, tenant: str, wanted: ForecastRequest) -> Fit:
    now_ns = services.clock()
    job = Fit(id=new_receipt(now_ns), tenant=tenant, request=wanted, state="queued", created_ns=now_ns)
    queue_job(services, job)
    return job


def _as_before(earlier: StoredForecast | Fit | None, wait_s: float | None) -> Response[Any]:
    """The answer to a request whose forecast another one with its key made, or makes."""
    assert earlier is not None
    return _stored(earlier, wait_s, status=200) if isinstance(earlier, StoredForecast) else _queued(earlier, wait_s)


def _queued(job: Fit, wait_s: float | None) -> Response[Any]:
    return Response(forecast_job(job), status_code=202, headers=location_headers(f"/v1/jobs/{job.id}", wait_s))


def _stored(forecast: StoredForecast, wait_s: float | None, status: int = 201) -> Response[Any]:
    headers = location_headers(f"/v1/forecasts/{forecast.id}", wait_s)
    return Response(stored_answer(forecast), status_code=status, headers=headers, media_type=_JSON)


def _present(services: Services, tenant: str) -> list[StoredForecast]:
    """The forecasts of a tenant, the newest first, without those of points that are deleted."""
    stored = _forecasts(services).list(tenant)
    hidden = services.pending_deletions.hidden_series(tenant)
    deleted = services.queries.stored_forecasts.derived_from_deleted(tenant, stored)
    return [
        forecast
        for forecast in stored
        if forecast.id not in deleted and parse_series(forecast.request.series) not in hidden
    ]


def _stored_forecast(services: Services, tenant: str, forecast: str) -> StoredForecast:
    """One forecast. Raises NotFoundError, also where points that it was made of are deleted."""
    stored = _forecasts(services).get(tenant, forecast)
    number = parse_series(stored.request.series)
    deleted = number in services.pending_deletions.hidden_series(tenant)
    if deleted or services.queries.stored_forecasts.derived_from_deleted(tenant, [stored]):
        raise NotFoundError(
            f"forecast '{forecast[:64]}' was made of points that are deleted, and was deleted with them"
        )
    return stored


def _forecasts(services: Services) -> CatalogForecasts:
    return CatalogForecasts(services.catalog)


FORECAST_ROUTES: Final = [
    create_forecast, list_forecasts, get_stored_forecast, get_forecast_score, delete_forecast,
]  # fmt: skip
