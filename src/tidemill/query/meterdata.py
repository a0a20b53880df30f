"""Meter data in the shape of the metering API that the feed `meters` reads, so that its front ends can move over."""

from typing import Any, Final

import msgspec

from tidemill.query.parameters import START, STOP, UNIT, Asked, Parameter, limit, time_range
from tidemill.query.readers import word
from tidemill.query.series import Hidden
from tidemill.store.client import Store

FEED: Final = "meters"
_TEXT: Final = {"type": "string"}

PARAMETERS: Final = (
    Parameter("muid", "Only this meter.", word, {"type": "string", "format": "uuid"}),
    Parameter("measurement", "Only this measurement, such as energy.", word, _TEXT),
    limit(5000, 50_000),
    START,
    STOP,
    UNIT,
)


class Measurements(msgspec.Struct, frozen=True):
    """Records, one an instant and meter, oldest first: `measurement`, `timestamp`, `tags` (`muid`, and `quality` where
    the reading has one), and each register's value under its own key (OBIS code)."""

    data: list[dict[str, Any]]


class Meterdata:
    """Reads the feed `meters`."""

    def __init__(self, store: Store, hidden: Hidden) -> None:
        self._store, self._hidden = store, hidden

    def measurements(self, tenant: str, asked: Asked) -> Measurements:
        """At most `limit` records in [start, stop), oldest first; none for a meter that is not there."""
        span = time_range(asked, "stop")
        rows = self._store.rows(
            "meterdata",
            tenant=tenant,
            feed=FEED,
            hidden=sorted(self._hidden(tenant)),
            muid=asked["muid"] or "",
            measurement=asked["measurement"] or "",
            first=span.first_ns,
            last=span.last_ns,
            limit=asked["limit"],
        )
        return Measurements([_record(row) for row in rows])


def _record(row: dict[str, Any]) -> dict[str, Any]:
    tags = {"muid": row["muid"], "quality": row["quality"]}
    registers = sorted(zip(row["registers"], row["values"], strict=True))
    return {
        "measurement": row["measurement"],
        "timestamp": row["timestamp"],
        "tags": {name: value for name, value in tags.items() if value},
        **dict(registers),
    }
