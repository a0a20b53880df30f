"""How often a host is asked by the sources of a tenant, and until when it wants to be left alone by a feed.

Requests are evenly spaced: of several rates for one host the slowest holds. A feed that a host answers with
`Retry-After` asks for none of its items before; other feeds may have another account there. Lives in the poller's loop.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 86_400.0  # what a server may ask for; a longer wait is asked about once a day


class Host:
    """One host of one tenant."""

    def __init__(self) -> None:
        self._holds: dict[str, int] = {}
        self._intervals: dict[str, float] = {}
        self._free_s = 0.0  # of the loop's clock: when the next request may go

    def declare(self, source: str, interval_s: float | None) -> None:
        """A source wants its requests so far apart at least; None: it wants nothing, or is no more."""
        if interval_s is None:
            self._intervals.pop(source, None)
        else:
            self._intervals[source] = interval_s

    def take_turn(self) -> float:
        """Take the next turn; seconds until it comes."""
        now_s, interval_s = asyncio.get_running_loop().time(), max(self._intervals.values(), default=0.0)
        turn_s = max(now_s, self._free_s)
        self._free_s = turn_s + interval_s
        return turn_s - now_s

    def hold(self, feed: str, until_ns: int) -> None:
        """Let a feed leave it alone until then."""
        self._holds[feed] = max(self.held_ns(feed), until_ns)

    def held_ns(self, feed: str) -> int:
        """The instant (ns since the epoch) before which a feed must not ask it; 0: there is none."""
        return self._holds.get(feed, 0)


class SourceHosts:
    """The hosts that are asked, by tenant and origin."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Host] = {}

    def of(self, tenant: str, origin: str) -> Host:
        """The host of an origin (`https://api.example.com:443`)."""
        return self._known.setdefault((tenant, origin), Host())


def retry_after_s(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Seconds of a `Retry-After` (RFC 9110, 10.2.3): a number of them, or a date, which is compared with the server's
    own `Date` where there is one; at most a day. None without one that can be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_S)
    if (due := _date(text)) is None:
        return None
    seconds = (due - (_date(headers.get("date", "")) or now())).total_seconds()
    return min(max(seconds, 0.0), LONGEST_S)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
