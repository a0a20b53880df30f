"""Dropzone files as scripts send them, with curl's form content type: JSON objects, arrays, NDJSON, and invalid ones.

A refusal must name the path of the fault. A second file for an instant (with another offset) must replace its row. At
the end of each batch the rows are read back and their mean, deviation, count and receipt are compared.
"""

import json
import math
import statistics
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import msgspec
import numpy as np

from tidemill.model.time import NS_PER_S, format_instant, parse_instant
from tidemill.simulate.session import ClientSession, Options, Progress, Unexpected, accepts, refuses, run_workers
from tidemill.simulate.summary import Summary

_PATH: Final = "/v1/feeds/dropzone"
_CURL: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_MINUTE_NS: Final = 60 * NS_PER_S
_OFFSETS_H: Final = (-4.0, 0.0, 1.0, 5.75, -3.5)


class FilesOptions(Options, frozen=True, kw_only=True):
    """`count` requests whose instants begin at `start` (RFC 3339), `values` numbers in each object."""

    start: str = "2019-05-01T10:00:00Z"
    values: int = 100


class SentRow(msgspec.Struct, frozen=True):
    """The expected content of a row: the numbers that were sent last for its instant, and their receipt."""

    data: list[float]
    receipt: str


def document(options: FilesOptions, number: int, instant_ns: int, attempt: int = 0) -> dict[str, Any]:
    """The content of a file for an instant, the same for the same arguments; number and attempt select its offset."""
    draw = np.random.default_rng([options.seed, number, attempt])
    hours = _OFFSETS_H[(number + attempt) % len(_OFFSETS_H)]
    zone = timezone(timedelta(hours=hours))
    moment = datetime.fromtimestamp(instant_ns // NS_PER_S, zone)
    data = (1.5 + draw.normal(0.0, 0.8, options.values)).tolist()
    return {"time_stamp": moment.isoformat(timespec="seconds"), "data": data}


def bad_document(good: dict[str, Any], number: int) -> tuple[bytes, tuple[str, ...]]:
    """The `number`-th kind of invalid file: its bytes, and the paths that the refusal must name."""
    last = len(good["data"]) - 1
    middle = min(17, last)
    changes: tuple[tuple[Any, tuple[str, ...]], ...] = (
        ({"data": [*good["data"][:middle], "1.5", *good["data"][middle + 1 :]]}, (f"$.data[{middle}]",)),
        ({"data": [*good["data"][:last], None]}, (f"$.data[{last}]",)),
        ({"data": []}, ("$.data",)),
        ({"data": 1.5}, ("$.data",)),
        ({"data": None}, ("$.data",)),
        ({"time_stamp": good["time_stamp"][:19]}, ("$.time_stamp",)),
        ({"time_stamp": "noon"}, ("$.time_stamp",)),
        ({"time_stamp": None, "data": [True]}, ("$.time_stamp", "$.data[0]")),
        ({"data": [1.0, math.nan]}, ()),  # NaN is not JSON
    )
    if number % (len(changes) + 1) == len(changes):
        return json.dumps(good).encode()[:-5], ()
    change, paths = changes[number % (len(changes) + 1)]
    return json.dumps({**good, **change}).encode(), paths


def run_files(options: FilesOptions, progress: Progress | None = None) -> Summary:
    """Sends `count` requests and checks answers and rows. Raises ValueError for a `start` that is no instant."""
    start_ns = parse_instant(options.start) // _MINUTE_NS * _MINUTE_NS

    def work(session: ClientSession) -> Sequence[Awaitable[None]]:
        return [_work(session, options, start_ns) for _ in range(max(1, options.connections))]

    return run_workers("files", options, work, progress)


async def _work(session: ClientSession, options: FilesOptions, start_ns: int) -> None:
    sent: dict[int, SentRow] = {}
    while (number := session.next_number()) is not None:
        await session.pace()
        instant_ns = start_ns + number * 4 * _MINUTE_NS  # room for the objects of an array
        await _send(session, options, number, instant_ns, sent)
        if len(sent) >= 50:
            await _verify(session, sent)
            sent.clear()
    await _verify(session, sent)


async def _send(
    session: ClientSession, options: FilesOptions, number: int, instant_ns: int, sent: dict[int, SentRow]
) -> None:
    kind = number % 10
    if kind == 3:
        body, paths = bad_document(document(options, number, instant_ns), number // 10)
        await session.call("POST", _PATH, refuses(400, *paths), body=body, headers=_CURL)
    elif kind == 7:
        documents = [document(options, number, instant_ns + n * _MINUTE_NS, n) for n in range(3)]
        documents[1]["data"][0] = "x"
        refusal = refuses(400, "$[1].data[0]")
        await session.call("POST", _PATH, refusal, body=json.dumps(documents).encode(), headers=_CURL)
    elif kind in (5, 8):
        documents = [document(options, number, instant_ns + n * _MINUTE_NS, n) for n in range(3)]
        lines = [json.dumps(content).encode() for content in documents]
        body = b"[" + b",".join(lines) + b"]" if kind == 5 else b"\n".join(lines) + b"\n"
        await _post(session, body, {instant_ns + n * _MINUTE_NS: content for n, content in enumerate(documents)}, sent)
    else:
        for attempt in range(2 if kind == 1 else 1):  # the second file of the instant replaces the first
            content = document(options, number, instant_ns, attempt)
            await _post(session, json.dumps(content).encode(), {instant_ns: content}, sent)


async def _post(
    session: ClientSession, body: bytes, documents: dict[int, dict[str, Any]], sent: dict[int, SentRow]
) -> None:
    reply = await session.call("POST", _PATH, accepts(202), body=body, headers=_CURL)
    if reply is None:
        return
    receipt = reply.json()
    if receipt.get("bytes") != len(body):
        session.counter.add_unexpected(f"the receipt says {receipt.get('bytes')} bytes, {len(body)} were sent")
    for instant_ns, content in documents.items():
        sent[instant_ns] = SentRow(content["data"], receipt["id"])


async def _verify(session: ClientSession, sent: dict[int, SentRow]) -> None:
    if not sent:
        return
    bounds = {"start": format_instant(min(sent)), "end": format_instant(max(sent) + 1), "limit": "10000"}

    async def compare() -> None:
        rows = {row["time"]: row for row in await session.read_json(f"{_PATH}/rows", bounds)}
        for instant_ns, expected in sent.items():
            _compare(rows.get(format_instant(instant_ns)), expected, format_instant(instant_ns))

    await session.verify(f"{len(sent)} rows", compare)


def _compare(row: dict[str, Any] | None, sent: SentRow, when: str) -> None:
    if row is None:
        raise Unexpected(f"there is no row at {when}")
    if (row["receipt"], row["count"]) != (sent.receipt, len(sent.data)):
        raise Unexpected(f"{when}: {row['count']} values of {row['receipt']}, not {len(sent.data)} of {sent.receipt}")
    expected: dict[str, float | None] = {
        "mean": statistics.fmean(sent.data),
        "stddev": statistics.stdev(sent.data) if len(sent.data) > 1 else None,
        "stddev_pop": statistics.pstdev(sent.data),
    }
    for name, value in expected.items():
        if (row[name] is None) != (value is None) or (value is not None and abs(row[name] - value) > 1e-9):
            raise Unexpected(f"{when}: {name} is {row[name]}, not {value}")
