"""Limits the wrong keys that an address may send: MAX_A_MINUTE, then 429 until the oldest of them is a minute old.

A right key is never refused: keys are 256 random bits, so no number of guesses finds one, and behind a proxy or shared
address a client with a revoked key would lock out all others. The limit bounds the cost of guesses and makes them
visible. An IPv6 address counts as its /64, because a host usually owns all of that network.
"""

import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from tidemill.api.problems import WrongKeysError

MAX_A_MINUTE: Final = 20
MAX_ADDRESSES: Final = 4096  # remembered at a time; the one that was silent longest is dropped first
_MINUTE_S: Final = 60.0


class WrongKeys:
    """Counts wrong keys by address, up to `limit` a minute. Lives in one event loop. `clock`: seconds that never go
    back."""

    def __init__(self, limit: int = MAX_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, address: str) -> None:
        """Count one wrong key. Raises WrongKeysError, and does not count, when the last minute had `limit`."""
        now, network = self._clock(), _network(address)
        times = self._times.setdefault(network, deque(maxlen=self._limit))
        self._times.move_to_end(network)
        if len(self._times) > MAX_ADDRESSES:
            self._times.popitem(last=False)
        if len(times) == self._limit and now - times[0] < _MINUTE_S:
            raise WrongKeysError(
                f"{self._limit} wrong keys came from this address within a minute. A right one is taken at any time.",
                math.ceil(times[0] + _MINUTE_S - now),
            )
        times.append(now)


def _network(address: str) -> str:
    """The network that an address is counted under: itself, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
