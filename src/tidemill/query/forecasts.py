"""Makes stored forecasts of answers, and decides which of them were made of points that are deleted now."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidemill import __version__
from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.errors import ConflictError
from tidemill.model.deletion import Deletion
from tidemill.model.forecast import (
    MAX_OFFSETS,
    ForecastRequest,
    KnownDeletion,
    StoredForecast,
    UsedPayloads,
    derives_from,
    packed_answer,
    used_payloads,
)
from tidemill.model.offset import Reach, partition_of_feed
from tidemill.model.time import parse_instant
from tidemill.query.analysis import AnalysedSeries, AnalysisQueries
from tidemill.query.analysis_parameters import ForecastQuery
from tidemill.query.parameters import read_query
from tidemill.store.client import Store

FORECAST_TASK: Final = "tidemill.query.analysis_tasks:forecast"


class _Span(msgspec.Struct):
    """The times of the first and last point that a forecast was made of."""

    start: str
    end: str


class ForecastStamp(msgspec.Struct, frozen=True, kw_only=True):
    """What a stored forecast gets beside its answer: `reach` is what of the tenant was applied in each partition before
    the points were read."""

    id: str
    created_ns: int
    request: ForecastRequest
    feed_version: int
    reach: Reach


class StoredForecastQueries:
    """Reads what stored forecasts derive from. Raises what the store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def make(self, subject: AnalysedSeries, answer: bytes, stamp: ForecastStamp) -> StoredForecast:
        """The stored forecast of an answer (the JSON of a ForecastAnswer) about a subject."""
        described, span = subject.described, msgspec.json.decode(answer, type=_Span)
        first_ns, last_ns = parse_instant(span.start), max(parse_instant(span.end), subject.last_ns or 0)
        return StoredForecast(
            id=stamp.id,
            tenant=subject.tenant,
            created_ns=stamp.created_ns,
            request=stamp.request,
            feed=described.feed,
            feed_version=stamp.feed_version,
            name=described.name,
            field=described.field,
            tags=described.tags,
            first_ns=first_ns,
            last_ns=last_ns,
            applied=stamp.reach[partition_of_feed(subject.tenant, described.feed, len(stamp.reach))],
            payloads=self._payloads(subject, first_ns, last_ns),
            version=__version__,
            answer=packed_answer(answer),
        )

    def derived_from_deleted(self, tenant: str, forecasts: Sequence[StoredForecast]) -> frozenset[str]:
        """The ids of those of a tenant's forecasts that were made of points which a deletion deleted since."""
        if not forecasts:
            return frozenset()
        feeds = sorted({forecast.feed for forecast in forecasts})
        low = min(forecast.applied for forecast in forecasts)
        rows = self._store.rows("forecast_deletions", tenant=tenant, feeds=feeds, low=low)
        deletions = [_known_deletion(row) for row in rows]
        return frozenset(
            forecast.id for forecast in forecasts if any(derives_from(forecast, deletion) for deletion in deletions)
        )

    def _payloads(self, subject: AnalysedSeries, first_ns: int, last_ns: int) -> UsedPayloads:
        [row] = self._store.rows(
            "forecast_payloads",
            tenant=subject.tenant,
            series=subject.described.series,
            deleted_seq=subject.described.deleted_seq,
            first=first_ns,
            last=last_ns,
            most=MAX_OFFSETS,
        )
        return used_payloads(row["offsets"], row["count"], row["lowest"], row["highest"])


def check_history(read: AnalysisQueries, tenant: str, request: ForecastRequest) -> None:
    """Raises what a fit would raise for a series that is not fit for the forecast: too few values, or uneven ones.
    Reads the values and computes no model. Raises NotFoundError, and what the store raises."""
    from tidemill.analysis.forecast.forecast import checked_grid  # here, as only few requests need it

    query = forecast_query(request.parameters)
    subject = read.subject(tenant, request.series, query.start, query.end)
    samples = read.latest(subject, query)
    checked_grid(samples.times_ns, samples.values, query.horizon, query.tz)


def store_forecast(forecasts: CatalogForecasts, queries: StoredForecastQueries, forecast: StoredForecast) -> None:
    """Store a forecast, unless points that it was made of are deleted now.

    A deletion that is applied after this look removes the forecast itself (`api/erasure.py`): so none stays. Raises
    ConflictError, LimitError.
    """
    forecasts.put(forecast)
    if queries.derived_from_deleted(forecast.tenant, [forecast]):
        forecasts.remove(forecast.tenant, forecast.id)
        raise ConflictError("points of this series were deleted while the forecast was made; ask again")


def forecast_query(parameters: Mapping[str, str]) -> ForecastQuery:
    """The parameters of a stored request as a query. Raises InputError."""
    return read_query(parameters.items(), ForecastQuery)


def forecast_options(query: ForecastQuery) -> dict[str, Any]:
    """The options of the task that makes a forecast."""
    return {
        "horizon": query.horizon,
        "levels": sorted(query.level),
        "model": query.model,
        "minimum": query.minimum,
    }


def parameter_texts(given: Mapping[str, Any]) -> dict[str, str]:
    """The members of a request as the texts of parameters: without nulls, items of lists separated by commas."""
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(map(_text, value))
    return repr(value) if isinstance(value, float) else str(value)


def _known_deletion(row: Mapping[str, Any]) -> KnownDeletion:
    selector = msgspec.json.decode(row["selector"])
    times = {name: parse_instant(selector[name]) for name in ("start", "end") if name in selector}
    deletion = Deletion(
        kind=row["kind"],
        feed=row["feed"],
        series=selector.get("series", ""),
        tags=selector.get("tags", {}),
        start_ns=times.get("start"),
        end_ns=times.get("end"),
        receipt=selector.get("receipt", ""),
    )
    return KnownDeletion(row["deletion_seq"], row["requested_ns"], deletion, row["payload"])
