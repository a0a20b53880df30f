"""How long to wait after failures: exponential with full jitter, so that clients of one server do not come in step."""

import random

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Waits up to `first_s`, then up to twice as long each time, never more than `cap_s`.

    Full jitter (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015): uniform in [0, limit].
    """

    first_s: float = 1.0
    cap_s: float = 60.0

    def delay_s(self, failures: int, rng: random.Random, at_least_s: float = 0.0) -> float:
        """Seconds to wait after the n-th failure in a row; no less than `at_least_s`, whatever the cap."""
        limit = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return max(rng.uniform(0.0, limit), at_least_s)
