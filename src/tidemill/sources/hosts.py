"""How often a host is asked, and until when it wants to be left alone: shared by all sources of a tenant that ask it.

Requests are evenly spaced: of several rates for one host the slowest holds. A host that answers with `Retry-After` is
asked by none of these sources before. Lives in the poller's loop; knows no HTTP.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 86_400.0  # what a server may ask for; a longer wait is asked about once a day


class Host:
    """One host of one tenant. `hold_ns`: not to be asked before this instant (ns since the epoch)."""

    def __init__(self) -> None:
        self.hold_ns = 0
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

    def hold(self, until_ns: int) -> None:
        """Leave it alone until then."""
        self.hold_ns = max(self.hold_ns, until_ns)


class Hosts:
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
