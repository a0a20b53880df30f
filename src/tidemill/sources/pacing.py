"""How long the poller waits: the back-off after failures, a source's circuit breaker, and the poller's own waits."""

import random
from typing import Final

import msgspec

_REST_FACTOR: Final = 5.0  # an open circuit rests for so many times the longest back-off


class Backoff(msgspec.Struct, frozen=True):
    """Exponential back-off: waits up to `first_s`, then up to twice as long each time, never more than `cap_s`.

    Full jitter, so that clients of a server do not send their requests at the same moment (M. Brooker, "Exponential
    Backoff and Jitter", AWS Architecture Blog, 2015): uniform in [0, limit].
    """

    first_s: float = 1.0
    cap_s: float = 60.0

    def delay_s(self, failures: int, rng: random.Random, at_least_s: float = 0.0) -> float:
        """Seconds to wait after the n-th failure in a row; at least `at_least_s`, even beyond `cap_s`."""
        limit = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return max(rng.uniform(0.0, limit), at_least_s)


class CircuitBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """A source's circuit breaker (M. Nygard, "Release It!", 2007): how many failures in a row open it, and for how long
    at most the source is not polled; then a single poll tries it. Success closes the circuit."""

    open_after: int = 10
    open_for_s: float = 300.0
    backoff: Backoff = Backoff()

    def opens(self, failures: int) -> bool:
        """Whether so many failures in a row open the circuit."""
        return failures >= self.open_after

    @property
    def rest_s(self) -> float:
        """Seconds for which a source with an open circuit is not polled."""
        return min(_REST_FACTOR * self.backoff.cap_s, self.open_for_s)


class Pacing(msgspec.Struct, frozen=True, kw_only=True):
    """The poller's own waits, in seconds. A fetch may take `deadline_factor` times the feed's time-out in all. At the
    end a fetch has `fetch_grace_s` to complete, its payload then `submit_grace_s` to be taken by intake, and the last
    rows of the poll ledger `record_grace_s` to be written. At most `in_flight` payloads of a source are under way at
    the same time. Unusable definitions are read again after `look_again_s`, because a missing secret may have been
    added."""

    first_backoff_s: float = 1.0
    submit_backoff: Backoff = Backoff(first_s=0.1, cap_s=5.0)
    submit_timeout_s: float = 30.0
    deadline_factor: float = 3.0
    fetch_grace_s: float = 2.0
    submit_grace_s: float = 3.0
    record_grace_s: float = 1.0
    write_every_s: float = 1.0
    look_again_s: float = 30.0
    in_flight: int = 32
