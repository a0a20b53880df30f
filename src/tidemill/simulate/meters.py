"""A stand-in for a metering API: two meters with 15-minute energy values, the same values for every request.

Answers `GET /meterdata/measurement` in the shape of the contract. Values are drawn for each local day from the seed, so
that they do not depend on the range or the order of requests. Records are at the starts of quarter hours before `end`.
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from tidemill.model.time import parse_instant
from tidemill.simulate import METERS_PORT
from tidemill.simulate.fault_injector import FaultInjector, inject_fault, parse_faults, send_slowly
from tidemill.simulate.server import Receive, Scope, Send, query_parameters, send_json, serve

HOUSEHOLD_MUID: Final = "0c5d4ad6-6cbf-4a52-9a43-6f0d6b1a9d11"
SOLAR_MUID: Final = "7f2f9f0e-35a1-4f0e-9f0b-2f6f0d1c8a22"
IMPORT: Final = "0100011D00FF"
EXPORT: Final = "0100021D00FF"
PATH: Final = "/meterdata/measurement"
ZONE: Final = ZoneInfo("Europe/Zurich")
_QUARTER_NS: Final = 900 * 1_000_000_000
_MAX_RECORDS: Final = 50_000
_DEFAULT_WINDOW: Final = ("2023-02-01", "2023-03-01")


class MetersOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`end`: RFC 3339 instant after which there are no values (empty: now). `faults` as in `parse_faults`."""

    host: str = "127.0.0.1"
    port: int = METERS_PORT
    seed: int = 1
    end: str = ""
    faults: str = ""


class MeterServer:
    """The server as an ASGI application. Raises ValueError for invalid options."""

    def __init__(self, options: MetersOptions, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._seed = options.seed
        self._end_ns = parse_instant(options.end) if options.end else None
        self._clock_ns = clock_ns
        self._faults = FaultInjector(parse_faults(options.faults), options.seed)
        self._days: dict[tuple[str, date], list[dict[str, float]]] = {}
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        if scope["path"] != PATH:
            await send_json(send, 404, {"title": "Not Found", "detail": f"There is only {PATH}."})
            return
        self.requests += 1
        fault = self._faults.draw()
        if fault is not None and fault != "slow":
            await inject_fault(fault, scope, receive, send)
            return
        status, document = self._answer(query_parameters(scope))
        if fault == "slow" and status == 200:
            await send_slowly(msgspec.json.encode(document), receive, send)
        else:
            await send_json(send, status, document)

    def _answer(self, params: dict[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            start = parse_bound(params.get("start") or _DEFAULT_WINDOW[0])
            stop = parse_bound(params.get("stop") or _DEFAULT_WINDOW[1])
            limit = int(params.get("limit") or 5000)
        except ValueError as error:
            return 400, {"title": "Bad Request", "detail": str(error)}
        if params.get("measurement", "energy") != "energy":
            return 200, {"data": []}
        return 200, {"data": self.records(params.get("muid", ""), start, stop, min(limit, _MAX_RECORDS))}

    def records(self, muid: str, start_ns: int, stop_ns: int, limit: int) -> list[dict[str, Any]]:
        """At most `limit` records of a meter in [start, stop), oldest first; none for an unknown meter."""
        if muid not in (HOUSEHOLD_MUID, SOLAR_MUID):
            return []
        end_ns = self._end_ns if self._end_ns is not None else self._clock_ns()
        first = -(-start_ns // _QUARTER_NS)
        last = min(-(-min(stop_ns, end_ns) // _QUARTER_NS), first + max(limit, 0))
        return [self._record(muid, quarter) for quarter in range(first, last)]

    def _record(self, muid: str, quarter: int) -> dict[str, Any]:
        moment = datetime.fromtimestamp(quarter * 900, UTC)
        local = moment.astimezone(ZONE)
        values = self._day(muid, local.date())[local.hour * 4 + local.minute // 15]
        quality = "estimated" if quarter % 997 == 0 else "measured"
        timestamp = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return {"measurement": "energy", "timestamp": timestamp, "tags": {"muid": muid, "quality": quality}, **values}

    def _day(self, muid: str, day: date) -> list[dict[str, float]]:
        """The 96 quarter hours of a local day (a repeated hour repeats its values)."""
        key = (muid, day)
        if key not in self._days:
            if len(self._days) > 1000:
                self._days.clear()
            solar = muid == SOLAR_MUID
            noise = np.random.default_rng([self._seed, int(solar), day.toordinal()])
            self._days[key] = _solar_day(day, noise) if solar else _household_day(day, noise)
        return self._days[key]


def parse_bound(text: str) -> int:
    """Ns since the epoch of a date (midnight UTC) or an RFC 3339 instant. Raises ValueError with a sentence."""
    return parse_instant(f"{text}T00:00:00Z" if len(text) == 10 else text)


def _household_day(day: date, noise: np.random.Generator) -> list[dict[str, float]]:
    """kWh each quarter hour: 90 W standby, a fridge, breakfast, lunch at weekends, and an evening peak."""
    hours = (np.arange(96) + 0.5) / 4
    weekend = day.weekday() >= 5
    winter = 1 + 0.25 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 15) / 365.25)
    breakfast = 0.5 * _bump(hours, 9.5 if weekend else 7.0, 0.9)
    lunch = (0.7 if weekend else 0.15) * _bump(hours, 12.5, 0.8)
    evening = (1.0 if weekend else 1.2) * _bump(hours, 19.2, 1.6)
    fridge = 0.06 * (np.arange(96) % 4 == noise.integers(4))
    active = winter * (breakfast + lunch + evening) * noise.gamma(6.0, 1 / 6.0, 96)
    return [{IMPORT: round(float(kw) / 4, 4)} for kw in 0.09 + fridge + active]


def _solar_day(day: date, noise: np.random.Generator) -> list[dict[str, float]]:
    """kWh each quarter hour: export as a bell between sunrise and sunset of the season, zero at night, fewer on cloudy
    days; import is the inverter's standby while it exports nothing."""
    hours = (np.arange(96) + 0.5) / 4
    season = math.cos(2 * math.pi * (day.timetuple().tm_yday - 172) / 365.25)
    half_day = 6.1 + 1.9 * season
    noon = 12.5 + 0.5 * season
    height = np.clip(np.cos((hours - noon) / half_day * math.pi / 2), 0, None) * (np.abs(hours - noon) < half_day)
    clouds = noise.beta(2.0, 1.3) * noise.uniform(0.8, 1.0, 96)
    export = 6.0 * (0.6 + 0.4 * season) * height**1.5 * clouds / 4
    return [
        {IMPORT: 0.0015 if kwh < 0.0001 else 0.0, EXPORT: round(float(kwh), 4) if kwh >= 0.0001 else 0.0}
        for kwh in export
    ]


def _bump(hours: "np.ndarray[Any, np.dtype[np.float64]]", centre: float, width: float) -> Any:
    return np.exp(-0.5 * ((hours - centre) / width) ** 2)


def run_meter_server(options: MetersOptions) -> dict[str, Any]:
    """Serves until SIGINT or SIGTERM; returns the number of requests. Raises ValueError or OSError at the start."""
    server = MeterServer(options)
    serve(server, options.host, options.port)
    return {"requests": server.requests}
