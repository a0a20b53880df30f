"""When a source that fails is left alone: after so many failures in a row, for so long, then one poll tries it."""

from typing import Final

import msgspec

from tidemill.sources.backoff import Backoff

_FACTOR: Final = 5.0  # left alone for so many times the longest back-off


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """A source's circuit breaker (M. Nygard, "Release It!", 2007): how many failures in a row open it, and for how long
    at most. Success closes it."""

    open_after: int = 10
    open_for_s: float = 300.0
    backoff: Backoff = Backoff()

    def opens(self, failures: int) -> bool:
        """Whether this many failures in a row are enough."""
        return failures >= self.open_after

    @property
    def rest_s(self) -> float:
        """Seconds that a source is left alone."""
        return min(_FACTOR * self.backoff.cap_s, self.open_for_s)
