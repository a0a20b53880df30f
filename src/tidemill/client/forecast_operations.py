"""The calls about forecasts and descriptions. No I/O, as `operations.py`."""

import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import msgspec

from tidemill.client.exchange import exchange, params_of, read_json
from tidemill.client.forecast_documents import (
    DescribedSeries,
    KeptForecast,
    KeptForecastPage,
    KeptScore,
    QueuedFit,
    SeriesForecast,
)
from tidemill.client.selection import Instant, instant_text
from tidemill.client.steps import (
    AwaitedClient,
    BlockingClient,
    Call,
    HttpReply,
    HttpRequest,
    Operation,
    Pages,
    Pause,
)
from tidemill.errors import NotFoundError, TidemillError

T = TypeVar("T")
_LIST_PAGE: Final = 1000
_STORED: Final = (200, 201)
_LOOK_S: Final = 0.25  # between two looks at a job
_ANSWER_S: Final = 15.0  # beyond a wait that was asked for
WAIT_S: Final = 20.0  # that one request waits for a forecast or its job


class ForecastOptions(TypedDict, total=False):
    """How to forecast: `horizon` values (24), bounds for each `level` in percent (80, 95), by a `model` (auto), nothing
    below `minimum`; of the points in [start, end), raw or as `agg` (mean) of windows of `every`, on the calendar and
    the clock of `tz`."""

    horizon: int
    level: Sequence[float]
    model: str
    minimum: float | None
    start: Instant | None
    end: Instant | None
    every: str | None
    agg: str | None
    tz: str | None


class ForecastOperations:
    """The calls about one series: what comes next, and what it is."""

    patience_s: float

    @Operation
    def forecast(self, series: str, **options: Unpack[ForecastOptions]) -> Call[SeriesForecast]:
        """The values of a series that come next, with bounds. It is not stored: `forecasts.create` does that.

        Raises NotFoundProblemError, and InputProblemError for a series that is not fit for it (too few values, uneven
        times): its message says what to ask for instead.
        """
        given = _texts(options)
        if "level" in given:
            given["level"] = ",".join(f"{level:g}" for level in given["level"])
        path = f"/v1/series/{quote(series, safe='')}/forecast"
        reply = yield from exchange(HttpRequest("GET", path, params_of(given)), self.patience_s)
        return read_json(reply, SeriesForecast)

    @Operation
    def describe(
        self,
        series: str,
        *,
        start: Instant | None = None,
        end: Instant | None = None,
        every: str | None = None,
        agg: str | None = None,
        tz: str | None = None,
    ) -> Call[DescribedSeries]:
        """What a series looks like, in sentences: a load, a solar roof, a temperature, a counter, noise. Of the points
        in [start, end), raw or as `agg` of windows of `every`; hours are those of `tz`."""
        times = {"start": instant_text(start, "start"), "end": instant_text(end, "end")}
        query = {**times, "every": every, "agg": agg, "tz": tz}
        path = f"/v1/series/{quote(series, safe='')}/description"
        reply = yield from exchange(HttpRequest("GET", path, params_of(query)), self.patience_s)
        return read_json(reply, DescribedSeries)


class StoredForecastOperations:
    """The calls about stored forecasts. `create` and `delete` are for keys with the scope `admin`."""

    patience_s: float

    @Operation
    def create(
        self,
        series: str,
        *,
        wait: float = WAIT_S,
        idempotency_key: str | None = None,
        **options: Unpack[ForecastOptions],
    ) -> Call[KeptForecast]:
        """Make a forecast and store it; returns it when it is stored, however long the fit takes: a fit of more than
        `wait` seconds becomes a job, which is followed. It is stored once, however often it is sent: its
        Idempotency-Key is the same in every retry.

        Raises InputProblemError for a series that is not fit for it, TidemillError where the job that makes it failed.
        """
        body = msgspec.json.encode({"series": series, **_texts(options)})
        key = idempotency_key or str(uuid.uuid4())
        headers = {"Prefer": f"wait={wait:g}", "Content-Type": "application/json", "Idempotency-Key": key}
        request = HttpRequest("POST", "/v1/forecasts", (), headers, body, wait + _ANSWER_S)
        reply = yield from exchange(request, self.patience_s)
        if reply.status in _STORED:
            return read_json(reply, KeptForecast)
        job = read_json(reply, QueuedFit)
        yield from self._until_over(job)
        return (yield from self._forecast(job.id))

    @Operation
    def get(self, id: str) -> Call[KeptForecast]:
        """A stored forecast. Raises NotFoundProblemError."""
        return (yield from self._forecast(id))

    @Operation
    def list_all(self, *, series: str | None = None, feed: str | None = None) -> Call[list[KeptForecast]]:
        """The stored forecasts, the newest first, without their values."""
        items: list[KeptForecast] = []
        cursor = None
        while True:
            query = {"series": series, "feed": feed, "limit": _LIST_PAGE, "cursor": cursor}
            reply = yield from self._get("/v1/forecasts", params_of(query))
            page = read_json(reply, KeptForecastPage)
            items += page.items
            cursor = page.next
            if cursor is None:
                return items

    @Operation
    def score(self, id: str) -> Call[KeptScore]:
        """How a stored forecast did by the values that have arrived."""
        return read_json((yield from self._get(f"/v1/forecasts/{quote(id, safe='')}/score")), KeptScore)

    @Operation
    def delete(self, id: str) -> Call[None]:
        """Delete a stored forecast. One that is not there is no error."""
        with suppress(NotFoundError):
            yield from exchange(HttpRequest("DELETE", f"/v1/forecasts/{quote(id, safe='')}"), self.patience_s)

    def _until_over(self, job: QueuedFit) -> Call[None]:
        """Follow a job to its end. Raises TidemillError unless it is done."""
        path = f"/v1/jobs/{quote(job.id, safe='')}"
        while job.state in ("queued", "running"):
            begun = time.monotonic()
            request = HttpRequest("GET", path, (), {"Prefer": f"wait={WAIT_S:g}"}, None, WAIT_S + _ANSWER_S)
            job = read_json((yield from exchange(request, self.patience_s)), QueuedFit)
            if time.monotonic() - begun < _LOOK_S:
                yield Pause(_LOOK_S)
        if job.state != "done":
            raise TidemillError(f"The forecast was not made: {job.error or f'its job was {job.state}'}")

    def _forecast(self, id: str) -> Call[KeptForecast]:
        return read_json((yield from self._get(f"/v1/forecasts/{quote(id, safe='')}")), KeptForecast)

    def _get(self, path: str, params: tuple[tuple[str, str], ...] = ()) -> Call[HttpReply]:
        return (yield from exchange(HttpRequest("GET", path, params), self.patience_s))


class BlockingForecasts(StoredForecastOperations):
    """Stored forecasts, by a client in plain code."""

    def __init__(self, client: BlockingClient, patience_s: float) -> None:
        self._client, self.patience_s = client, patience_s

    def run_call(self, call: Call[T]) -> T:
        """The result of a call."""
        return self._client.run_call(call)

    def run_pages(self, pages: Pages[T]) -> Iterator[T]:
        """The parts of a result, as they come."""
        return self._client.run_pages(pages)


class AwaitedForecasts(StoredForecastOperations):
    """Stored forecasts, by a client in an event loop."""

    def __init__(self, client: AwaitedClient, patience_s: float) -> None:
        self._client, self.patience_s = client, patience_s

    def run_call(self, call: Call[T]) -> Coroutine[Any, Any, T]:
        """The result of a call."""
        return self._client.run_call(call)

    def run_pages(self, pages: Pages[T]) -> AsyncIterator[T]:
        """The parts of a result, as they come."""
        return self._client.run_pages(pages)


def _texts(options: ForecastOptions) -> dict[str, Any]:
    """The options that are given, instants as a request has them. Raises InputError."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name in ("start", "end"):
        if name in given:
            given[name] = instant_text(given[name], name)
    return given
