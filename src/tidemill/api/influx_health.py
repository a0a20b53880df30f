"""`/ping` and `/health`, by which clients of InfluxDB see whether they can write."""

from typing import Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

import tidemill
from tidemill.api.health import Health

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


@get(
    "/health",
    opt=PUBLIC,
    tags=["intake"],
    summary="Healthy, for InfluxDB's clients",
    operation_id="health",
    responses={503: ResponseSpec(InfluxHealth, generate_examples=False, description="It cannot acknowledge writes.")},
)
async def influx_health(health: NamedDependency[Health]) -> Response[InfluxHealth]:
    """`status` is `pass` while writes can be acknowledged, as `/readyz` says; else `503` and `fail`."""
    if (await health.state()).log.accepting:
        return Response(InfluxHealth("tidemill", "ready for writes", "pass", tidemill.__version__))
    refusal = InfluxHealth("tidemill", "writes cannot be acknowledged; /readyz says more", "fail", tidemill.__version__)
    return Response(refusal, status_code=503, headers={"Retry-After": "5"})


INFLUX_HEALTH_ROUTES: Final = [ping, influx_health]
