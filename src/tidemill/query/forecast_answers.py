"""Stored forecasts as the API documents them: what each was made of, and how it did."""

from typing import Any, Final

import msgspec

from tidemill.model.forecast import StoredForecast
from tidemill.model.time import format_instant
from tidemill.query.analysis_answers import AsOf, ForecastAnswer
from tidemill.query.forecasts import forecast_query

_encoder: Final = msgspec.json.Encoder()


class ForecastParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What was requested; null: not given. `start` and `end` are the range of the points, [start, end)."""

    horizon: int
    level: list[float]
    model: str
    minimum: float | None
    start: str | None
    end: str | None
    every: str | None
    agg: str | None
    tz: str | None


class ForecastOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """What a forecast was made of: the points of its series from `start` to `end` (both included), which are of
    `payloads` payloads. `applied`: the offset in the log up to which everything of the feed was applied before the
    points were read; `as_of`: the highest offset of these points, and the time of the last one. `feed_version`: the
    version of the feed that was in force; `software`: the version of Tidemill."""

    start: str
    end: str
    payloads: int
    applied: int
    as_of: AsOf
    feed_version: int
    software: str


class ForecastItem(msgspec.Struct, frozen=True, kw_only=True):
    """A stored forecast in a list. The `horizon` values are for times from `first` to `last`."""

    id: str
    created_at: str
    series: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None
    request: ForecastParameters
    made_from: ForecastOrigin
    model: str
    first: str
    last: str
    links: dict[str, str]


class StoredForecastAnswer(ForecastItem, frozen=True, kw_only=True):
    """A stored forecast with `forecast`, the answer of `GET /v1/series/{id}/forecast` when it was made."""

    forecast: ForecastAnswer


class ForecastPage(msgspec.Struct, frozen=True):
    """A page of stored forecasts, the newest first."""

    items: list[ForecastItem]
    next: str | None


class _AnswerHead(msgspec.Struct):
    """The members of a ForecastAnswer that a list needs."""

    unit: str | None
    start: str
    end: str
    as_of: AsOf
    model: str
    times: list[str]


def forecast_item(forecast: StoredForecast) -> ForecastItem:
    """A stored forecast as a list shows it."""
    return ForecastItem(**_members(forecast, forecast.body))


def stored_answer(forecast: StoredForecast) -> bytes:
    """The JSON of a StoredForecastAnswer."""
    body = forecast.body
    return _encoder.encode({**_members(forecast, body), "forecast": msgspec.Raw(body)})


def _members(forecast: StoredForecast, body: bytes) -> dict[str, Any]:
    head = msgspec.json.decode(body, type=_AnswerHead)
    path = f"/v1/forecasts/{forecast.id}"
    return {
        "id": forecast.id,
        "created_at": format_instant(forecast.created_ns),
        "series": forecast.request.series,
        "feed": forecast.feed,
        "name": forecast.name,
        "field": forecast.field,
        "tags": forecast.tags,
        "unit": head.unit,
        "request": forecast_parameters(forecast.request.parameters),
        "made_from": ForecastOrigin(
            start=head.start,
            end=head.end,
            payloads=forecast.payloads.count,
            applied=forecast.applied,
            as_of=head.as_of,
            feed_version=forecast.feed_version,
            software=forecast.version,
        ),
        "model": head.model,
        "first": head.times[0],
        "last": head.times[-1],
        "links": {
            "self": path,
            "score": f"{path}/score",
            "series": f"/v1/series/{forecast.request.series}",
        },
    }


def forecast_parameters(texts: dict[str, str]) -> ForecastParameters:
    """The parameters of a stored request as the API answers them."""
    query = forecast_query(texts)
    return ForecastParameters(
        horizon=query.horizon,
        level=sorted(query.level),
        model=query.model,
        minimum=query.minimum,
        start=None if query.start is None else format_instant(query.start),
        end=None if query.end is None else format_instant(query.end),
        every=None if query.every is None else query.every.text,
        agg=None if query.every is None else query.agg,
        tz=query.tz,
    )
