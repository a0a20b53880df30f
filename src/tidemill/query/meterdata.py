"""Meter data in the shape of the metering API that the feed `meters` reads, for the front ends of that API."""

from typing import Annotated, Any, Final, Literal, TypedDict, cast

import msgspec

from tidemill.query import readers
from tidemill.query.parameters import (
    TEXT,
    Parameter,
    QueryParameters,
    Start,
    Stop,
    Unit,
    limit_to,
    one_of,
    time_range,
)
from tidemill.query.series import Hidden
from tidemill.store.client import Store

FEED: Final = "meters"


class MeasurementsQuery(QueryParameters, frozen=True):
    """Records of meters in [start, stop)."""

    muid: Annotated[str | None, Parameter("Only this meter.", readers.word, {"type": "string", "format": "uuid"})] = (
        None
    )
    measurement: Annotated[str | None, Parameter("Only this measurement, such as energy.", readers.word, TEXT)] = None
    limit: Annotated[int, limit_to(50_000)] = 5000
    start: Start = None
    stop: Stop = None
    unit: Unit = None
    order: Annotated[
        Literal["asc", "desc"], one_of("Order in time; `limit` counts from its beginning.", "asc", "desc")
    ] = "desc"


class Measurement(TypedDict):
    """The values of a meter at an instant. `tags` are `muid`, and `quality` where the reading has one. Each register's
    value is a further member under its own key (OBIS code)."""

    measurement: str
    timestamp: str
    tags: dict[str, str]


class Measurements(msgspec.Struct, frozen=True):
    """Records, one for each instant and meter, newest first unless the request has `order=asc`."""

    data: list[Measurement]


class Meterdata:
    """Reads the feed `meters`."""

    def __init__(self, store: Store, hidden: Hidden) -> None:
        self._store, self._hidden = store, hidden

    def measurements(self, tenant: str, query: MeasurementsQuery) -> Measurements:
        """At most `limit` records in [start, stop), in the order of the query; none for an unknown meter."""
        span = time_range(query.start, query.stop)
        rows = self._store.rows(
            "meterdata",
            tenant=tenant,
            feed=FEED,
            hidden=sorted(self._hidden(tenant)),
            muid=query.muid or "",
            measurement=query.measurement or "",
            first=span.first_ns,
            last=span.last_ns,
            sign=-1 if query.order == "desc" else 1,
            limit=query.limit,
        )
        return Measurements([_record(row) for row in rows])


def _record(row: dict[str, Any]) -> Measurement:
    tags = {"muid": row["muid"], "quality": row["quality"]}
    registers = sorted(zip(row["registers"], row["values"], strict=True))
    record = {
        "measurement": row["measurement"],
        "timestamp": row["timestamp"],
        "tags": {name: value for name, value in tags.items() if value},
        **dict(registers),
    }
    return cast("Measurement", record)
