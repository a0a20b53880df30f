"""Limits how often the sources of a tenant request a host, and holds a feed's requests after a `Retry-After`.

Requests are evenly spaced: of several rates for a host the slowest applies. After a `Retry-After` no item of that feed
is requested before its end; other feeds are not held, as they may have another account there. Used in the poller's
loop.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 86_400.0  # a longer `Retry-After` is cut to this, so the host is requested once a day


class SourceHost:
    """The rate and the holds of one host for one tenant."""

    def __init__(self) -> None:
        self._holds: dict[str, int] = {}
        self._intervals: dict[str, float] = {}
        self._free_s = 0.0  # of the loop's clock: when the next request may go

    def set_interval(self, source: str, interval_s: float | None) -> None:
        """Set the shortest time between requests for a source; None: the source has no rate, or has ended."""
        if interval_s is None:
            self._intervals.pop(source, None)
        else:
            self._intervals[source] = interval_s

    def take_turn(self) -> float:
        """Reserve the next turn; returns the seconds until then."""
        now_s, interval_s = asyncio.get_running_loop().time(), max(self._intervals.values(), default=0.0)
        turn_s = max(now_s, self._free_s)
        self._free_s = turn_s + interval_s
        return turn_s - now_s

    def hold(self, feed: str, until_ns: int) -> None:
        """Hold a feed's requests until `until_ns`, or longer if they are held longer already."""
        self._holds[feed] = max(self.held_until_ns(feed), until_ns)

    def held_until_ns(self, feed: str) -> int:
        """The instant (ns since the epoch) before which a feed must not send requests; 0: there is none."""
        return self._holds.get(feed, 0)


class SourceHosts:
    """The hosts of all sources, by tenant and origin."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, str], SourceHost] = {}

    def host_of(self, tenant: str, origin: str) -> SourceHost:
        """The host of an origin (`https://api.example.com:443`)."""
        return self._hosts.setdefault((tenant, origin), SourceHost())


def retry_after_s(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Seconds of a `Retry-After` (RFC 9110, 10.2.3): a number, or a date, which is compared with the server's own
    `Date` if there is one; at most a day. None without a valid header."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_S)
    if (due := _date(text)) is None:
        return None
    seconds = (due - (_date(headers.get("date", "")) or now())).total_seconds()
    return min(max(seconds, 0.0), LONGEST_S)


def _date(text: str) -> datetime | None:
    try:
        value = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
