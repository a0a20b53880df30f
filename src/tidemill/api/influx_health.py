"""`/ping` and `/health`, by which clients of InfluxDB see whether they can write."""

from typing import Final

import msgspec
from litestar import Response, get

import tidemill

PUBLIC: Final = {"scope": None}


class InfluxHealth(msgspec.Struct, frozen=True):
    """The health of the server, as clients of InfluxDB read it."""

    name: str
    message: str
    status: str
    version: str


@get(
    "/ping", opt=PUBLIC, tags=["intake"], summary="Alive, for InfluxDB's clients", operation_id="ping", status_code=204
)
async def ping() -> Response[None]:
    """`204`: the server is there. `/readyz` says whether payloads can be acknowledged."""
    return Response(
        None, status_code=204, headers={"X-Influxdb-Build": "Tidemill", "X-Influxdb-Version": "2.7.0-tidemill"}
    )


@get("/health", opt=PUBLIC, tags=["intake"], summary="Healthy, for InfluxDB's clients", operation_id="health")
async def influx_health() -> InfluxHealth:
    """`status` is `pass` while the server answers."""
    return InfluxHealth("tidemill", "ready for writes", "pass", tidemill.__version__)


INFLUX_HEALTH_ROUTES: Final = [ping, influx_health]
