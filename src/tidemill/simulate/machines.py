"""Machines that store vibration series, read them back and compare every sample and the metrics exactly.

A series is a sum of sines with noise and missing samples, given by `interval`, `sample_rate_hz` or `times`. A fifth is
deleted: then no answer may contain it, and it must be possible to store it again. At most `keep` stay stored.
"""

import math
from collections import deque
from collections.abc import Awaitable, Sequence
from fractions import Fraction
from typing import Any, Final, Literal

import msgspec
import numpy as np

from tidemill.model.time import NS_PER_S, format_instant, parse_duration_ns, parse_instant
from tidemill.simulate.session import ClientSession, Options, Progress, Reply, Unexpected, accepts, run_workers
from tidemill.simulate.summary import Summary

_JSON: Final = {"Content-Type": "application/json"}
_RATES_HZ: Final = (12.5, 1000, 25600, 44100)
_INTERVALS: Final = ("39.0625us", "1ms", "250ms", "3s")


class MachinesOptions(Options, frozen=True, kw_only=True):
    """`count` series of at most `samples` each, beginning at `start` (RFC 3339). At most `keep` of them stay stored."""

    samples: int = 2000
    start: str = "2026-01-01T00:00:00Z"
    keep: int = 500


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A series to store: its request and the expected answer. `times` in ns since the epoch, UTC."""

    name: str
    body: bytes
    values: list[float | None]
    times: list[int]
    deleted: bool


def make_series(options: MachinesOptions, number: int) -> Series:
    """The `number`-th series; the same for the same seed and `samples`. Raises ValueError for a bad `start`."""
    draw = np.random.default_rng([options.seed, number])
    count = int(draw.integers(2, max(3, options.samples + 1)))
    start_ns = parse_instant(options.start) + number * 3600 * NS_PER_S
    kind: Literal["interval", "sample_rate_hz", "times"] = ("interval", "sample_rate_hz", "times")[number % 3]
    document: dict[str, Any] = {
        "name": f"machine {options.seed}-{number} ({options.samples})",
        "unit": "g",
        "tags": {"machine": f"m{number % 7}", "simulated": "yes"},
    }
    if kind == "times":
        times = [start_ns + int(ns) for ns in np.cumsum(draw.integers(1, 2 * NS_PER_S, count))]
        document["times"] = [format_instant(ns) for ns in times]
    else:
        step = _step(document, kind, draw)
        times = [start_ns + round(step * index) for index in range(count)]
        document["start"] = format_instant(start_ns)
    document["values"] = values = _vibration(count, draw)
    return Series(
        name=document["name"],
        body=msgspec.json.encode(document),
        values=values,
        times=times,
        deleted=bool(draw.random() < 0.2),
    )


def _step(document: dict[str, Any], kind: str, draw: np.random.Generator) -> Fraction:
    """Chooses the sampling of an equidistant series and writes it into the document; returns the interval in ns."""
    if kind == "interval":
        document["interval"] = _INTERVALS[int(draw.integers(len(_INTERVALS)))]
        return Fraction(*parse_duration_ns(document["interval"]))
    document["sample_rate_hz"] = _RATES_HZ[int(draw.integers(len(_RATES_HZ)))]
    return Fraction(NS_PER_S) / Fraction(document["sample_rate_hz"])


def _vibration(count: int, draw: np.random.Generator) -> list[float | None]:
    """Three sines with noise, in g; in one series of four, 2 % of the samples (not the first) are missing."""
    index = np.arange(count)
    wave = draw.normal(0.0, 0.05, count)
    for _ in range(3):
        wave += draw.uniform(0.1, 2.0) * np.sin(2 * np.pi * draw.uniform(0.001, 0.4) * index + draw.uniform(0, 6))
    values: list[float | None] = wave.tolist()
    if draw.random() < 0.25:
        for gap in np.nonzero(draw.random(count) < 0.02)[0]:
            if gap:
                values[gap] = None
    return values


def run_machines(options: MachinesOptions, progress: Progress | None = None) -> Summary:
    """Stores `count` series, reads each back, deletes some. Raises ValueError for a `start` that is no instant."""
    parse_instant(options.start)
    stored: deque[str] = deque()

    def work(session: ClientSession) -> Sequence[Awaitable[None]]:
        return [_work(session, options, stored) for _ in range(max(1, options.connections))]

    async def finish(session: ClientSession) -> None:
        async def compare() -> None:
            count = (await session.read_json("/v1/series/count"))["count"]
            if count < len(stored):
                raise Unexpected(f"{count} series, though {len(stored)} were stored")

        await session.verify("the count of series", compare)

    return run_workers("machines", options, work, progress, finish)


async def _work(session: ClientSession, options: MachinesOptions, stored: deque[str]) -> None:
    while (number := session.next_number()) is not None:
        await session.pace()
        series = make_series(options, number)
        identity = await _store(session, series)
        if identity is None:
            continue
        if series.deleted and await _delete(session, identity) and await _store(session, series) != identity:
            session.counter.add_unexpected(f"{series.name} came back under another id")
        stored.append(identity)
        while len(stored) > options.keep:
            await _delete(session, stored.popleft())


async def _store(session: ClientSession, series: Series) -> str | None:
    """Stores a series, reads it and its metrics back; returns its id, or None after an unexpected answer."""
    reply = await session.call("POST", "/v1/series", accepts(201, 202), body=series.body, headers=_JSON)
    if reply is None:
        return None
    created = reply.json()
    identity = str(created.get("id"))
    stored = created.get("count", 0) + created.get("missing", 0)
    if reply.status == 201 and stored != len(series.values):
        session.counter.add_unexpected(f"{series.name}: stored {stored} of {len(series.values)} samples")

    async def compare() -> None:
        _compare_samples(series, await session.read_json(f"/v1/series/{identity}"))
        _compare_metrics(series, await session.read_json(f"/v1/series/{identity}/metrics"))

    within_s = 0.0 if reply.status == 201 else None  # 201 promises that the series can be read now
    return identity if await session.verify(series.name, compare, within_s) else None


def _compare_samples(series: Series, full: dict[str, Any]) -> None:
    if full["values"] != series.values:
        pairs = enumerate(zip(full["values"], series.values, strict=False))
        index = next((n for n, (value, expected) in pairs if value != expected), -1)
        raise Unexpected(f"{len(full['values'])} values for {len(series.values)}, the first other one at {index}")
    if len(full["times"]) != len(series.times):
        raise Unexpected(f"{len(full['times'])} times for {len(series.times)}")
    times = [parse_instant(text) for text in full["times"]]
    off = max((abs(time - expected) for time, expected in zip(times, series.times, strict=True)), default=0)
    if off > 1:  # an interval of a fractional number of ns may be rounded either way
        raise Unexpected(f"a time is {off} ns off")


def _compare_metrics(series: Series, metrics: dict[str, Any]) -> None:
    present = [value for value in series.values if value is not None]
    exact: dict[str, float] = {"count": len(present), "missing": len(series.values) - len(present)}
    exact |= {"min": min(present), "max": max(present), "first": present[0], "last": present[-1]}
    for name, value in exact.items():
        if metrics[name] != value:
            raise Unexpected(f"{name} is {metrics[name]}, not {value}")
    squares = math.fsum(value * value for value in present)
    close = {"mean": math.fsum(present) / len(present), "rms": math.sqrt(squares / len(present))}
    for name, value in close.items():
        if metrics[name] is None or abs(metrics[name] - value) > 1e-9 * max(1.0, abs(value)):
            raise Unexpected(f"{name} is {metrics[name]}, not {value}")


async def _delete(session: ClientSession, identity: str) -> bool:
    """Deletes a series; its routes must answer 404 at once. Returns whether they did."""
    if await session.call("DELETE", f"/v1/series/{identity}", accepts(200, 204)) is None:
        return False
    for path in (f"/v1/series/{identity}", f"/v1/series/{identity}/metrics"):
        if await session.call("GET", path, _expect_not_found) is None:
            return False
    return True


def _expect_not_found(reply: Reply) -> str:
    if reply.status != 404:
        raise Unexpected(f"a deleted series still answers {reply.status}")
    return "refused"
