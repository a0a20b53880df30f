"""Decodes requests for stored forecasts: the body of `POST /v1/forecasts`, which is also that of a job of its kind."""

from contextlib import suppress
from typing import Any, Final

from tidemill.api.json_body import convert_document, refuse_faults
from tidemill.api.services import Services
from tidemill.errors import Fault, InputError, UnavailableError
from tidemill.feeds.convert import Table
from tidemill.model.forecast import ForecastRequest
from tidemill.model.ids import parse_series
from tidemill.query.forecasts import check_history, forecast_query, parameter_texts

MAX_KEY: Final = 255  # characters of an Idempotency-Key


class ForecastBody(Table, frozen=True):
    """What to forecast: a series by its id, with the members that `GET /v1/series/{id}/forecast` has as parameters."""

    series: str
    horizon: int | None = None
    level: list[float] | None = None
    model: str | None = None
    minimum: float | None = None
    start: str | None = None
    end: str | None = None
    every: str | None = None
    agg: str | None = None
    tz: str | None = None


def forecast_request(data: Any, key: str | None = None) -> ForecastRequest:
    """The request of a document. Raises InputError naming every fault by its path."""
    body, faults = convert_document(data, ForecastBody)
    if body is None:
        refuse_faults(faults)
    assert body is not None
    try:
        parse_series(body.series)
    except ValueError:
        faults.append(Fault("$.series", "invalid", "must be the id of a series, 16 hexadecimal digits"))
    given = {name: getattr(body, name) for name in ForecastBody.__struct_fields__ if name != "series"}
    texts = parameter_texts(given)
    try:
        forecast_query(texts)
    except InputError as error:
        faults += [Fault(fault.path.replace("$query", "$"), fault.code, fault.message) for fault in error.faults]
    refuse_faults(faults)
    return ForecastRequest(body.series, texts, key or "")


def refuse_unfit(services: Services, tenant: str, wanted: ForecastRequest) -> None:
    """Raises SeriesError for a forecast whose job would only fail: its series has too few values, or uneven ones; and
    NotFoundError for an unknown series. While the store cannot be read, the job says it."""
    with suppress(UnavailableError):
        check_history(services.queries.analysis, tenant, wanted)


def idempotency_key(header: str | None) -> str:
    """The Idempotency-Key of a request ("": none). Raises InputError."""
    if header is not None and len(header) > MAX_KEY:
        message = f"An Idempotency-Key has at most {MAX_KEY} characters."
        raise InputError(message, (Fault("$header.Idempotency-Key", "too_long", message),))
    return header or ""
