"""Phones that send one fix at a time to `PUT /location`, and check each answer.

The fixes include duplicates (the same timestamp and user, other values, some on the other side of a zone's border),
bursts, late records, and every kind of broken record, whose refusal must name the fault. With `verify` the averages per
user and minute are read back at the end and compared with those of the first-submitted fixes. One worker sends all
fixes of a user, in order.
"""

import random
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from tidemill.model.time import NS_PER_S, format_instant, parse_instant
from tidemill.simulate.session import ClientSession, Options, Progress, Unexpected, accepts, refuses, run_workers
from tidemill.simulate.summary import Summary
from tidemill.simulate.walks import CROSSING, Fix, broken_record, fix_across_border, walk

_FIELDS: Final = ("lat", "long", "accuracy", "speed")
_MINUTE_NS: Final = 60 * NS_PER_S


class CountedFixes:
    """The fixes that count, by user and minute (ns): of a user's fixes with the same text or the same instant as one
    that was submitted before, none does."""

    def __init__(self) -> None:
        self.minutes: dict[tuple[str, int], list[Fix]] = defaultdict(list)
        self._submitted: set[tuple[str, str | int]] = set()

    def add(self, fix: Fix) -> None:
        """Add the fix that was submitted next."""
        keys: set[tuple[str, str | int]] = {(fix.user_id, fix.timestamp), (fix.user_id, fix.instant_ns)}
        if not keys & self._submitted:
            self.minutes[fix.user_id, fix.instant_ns // _MINUTE_NS * _MINUTE_NS].append(fix)
        self._submitted |= keys


class PhonesOptions(Options, frozen=True, kw_only=True):
    """`users` phones whose walks begin at `start` (RFC 3339). `verify`: compare the averages at the end."""

    users: int = 8
    start: str = "2017-01-01T12:00:00Z"
    verify: bool = False


class PlannedRequest(msgspec.Struct, frozen=True):
    """A request to send. A `late` fix is older than fixes sent before; a `burst` fix is sent without a pause; one
    `across` a border has the text of a fix sent before."""

    fix: Fix
    kind: Literal["fix", "duplicate", "late", "burst", "broken", "across"]
    number: int = 0


def planned_requests(seed: int, user: int, start_ns: int) -> Iterator[PlannedRequest]:
    """The requests of one phone, without end: a walk with some fixes late, duplicated, in bursts or broken."""
    draw = random.Random(f"phone {seed} {user}")
    held: list[Fix] = []
    burst = 0
    sent: list[Fix] = []
    for number, fix in enumerate(walk(seed, user, start_ns)):
        share = draw.random()
        if burst:
            burst -= 1
            yield PlannedRequest(fix, "burst")
        elif share < 0.06:
            held.append(fix)
            continue
        else:
            burst = draw.randint(5, 15) if share > 0.98 else 0
            yield PlannedRequest(fix, "fix")
        sent = [*sent[-20:], fix]
        if draw.random() < 0.08:
            other = {"accuracy": 99.9, "speed": 9.9}
            yield PlannedRequest(msgspec.structs.replace(draw.choice(sent), **other), "duplicate")
        if user < CROSSING and draw.random() < 0.05 and (across := fix_across_border(fix)):
            yield PlannedRequest(across, "across")
        if held and draw.random() < 0.1:
            late = held.pop(0)
            sent.append(late)
            yield PlannedRequest(late, "late")
        if draw.random() < 0.06:
            yield PlannedRequest(fix, "broken", number + user)


def run_phones(options: PhonesOptions, progress: Progress | None = None) -> Summary:
    """Sends `count` records and checks the answers. Raises ValueError for a `start` that is no instant."""
    start_ns = parse_instant(options.start)
    counted = CountedFixes()
    workers = max(1, min(options.connections, options.users))

    def work(session: ClientSession) -> Sequence[Awaitable[None]]:
        users = range(options.users)
        return [_work(session, options, list(users[first::workers]), start_ns, counted) for first in range(workers)]

    async def finish(session: ClientSession) -> None:
        await _verify(session, counted.minutes)

    return run_workers("phones", options, work, progress, finish if options.verify else None)


async def _work(
    session: ClientSession, options: PhonesOptions, users: list[int], start_ns: int, counted: CountedFixes
) -> None:
    """Sends the requests of these users in turn."""
    streams = [planned_requests(options.seed, user, start_ns) for user in users]
    while True:
        for stream in streams:
            if session.next_number() is None:
                return
            planned = next(stream)
            if planned.kind != "burst":
                await session.pace()
            await _send(session, planned, counted if options.verify else None)


async def _send(session: ClientSession, planned: PlannedRequest, counted: CountedFixes | None) -> None:
    fix = planned.fix
    if planned.kind == "broken":
        body, paths = broken_record(fix, planned.number)
        await session.call("PUT", "/location", refuses(400, *paths), body=body, headers=_JSON)
        return
    body = msgspec.json.encode(fix.record())
    reply = await session.call("PUT", "/location", accepts(200), body=body, headers=_JSON)
    if reply is not None and counted is not None:
        counted.add(fix)


_JSON: Final = {"Content-Type": "application/json"}


async def _verify(session: ClientSession, minutes: Mapping[tuple[str, int], list[Fix]]) -> None:
    """Compares every minute of every user."""
    for user in sorted({user for user, _ in minutes}):
        mine = {minute: fixes for (name, minute), fixes in minutes.items() if name == user}

        async def compare(user: str = user, mine: dict[int, list[Fix]] = mine) -> None:
            bounds = {"start": format_instant(min(mine)), "end": format_instant(max(mine) + _MINUTE_NS)}
            params = {"user_id": user, "limit": "10000", **bounds}
            windows = await session.read_json("/v1/feeds/location/rollups", params)
            rows = {parse_instant(window["minute"]): window for window in windows}
            for minute, fixes in mine.items():
                _compare(user, minute, fixes, rows.get(minute))
            if extra := rows.keys() - mine.keys():
                raise Unexpected(f"{user} has a minute that was never sent: {format_instant(min(extra))}")

        await session.verify(f"averages of {user}", compare)


def _compare(user: str, minute: int, fixes: list[Fix], row: dict[str, Any] | None) -> None:
    when = f"{user} at {format_instant(minute)}"
    if row is None:
        raise Unexpected(f"{when} is missing ({len(fixes)} fixes)")
    if row["count"] != len(fixes):
        raise Unexpected(f"{when} counts {row['count']} fixes, {len(fixes)} were sent")
    for field in _FIELDS:
        mean = sum(getattr(fix, field) for fix in fixes) / len(fixes)
        if row[field] is None or abs(row[field] - mean) > 1e-9 * max(1.0, abs(mean)):
            raise Unexpected(f"{when}: {field} is {row[field]}, its average is {mean}")
