"""Back-off spreads over its whole range and never passes its cap."""

import random

from tidemill.sources.pacing import Backoff


def test_delays_grow_to_the_cap_with_full_jitter():
    backoff, rng = Backoff(first_s=1.0, cap_s=60.0), random.Random(1)
    for failures, limit in ((1, 1), (2, 2), (4, 8), (7, 60), (10_000, 60)):
        delays = [backoff.delay_s(failures, rng) for _ in range(500)]
        assert 0 <= min(delays) < 0.1 * limit
        assert 0.9 * limit < max(delays) <= limit


def test_what_the_server_asks_for_is_respected_whatever_the_cap():
    backoff, rng = Backoff(first_s=1.0, cap_s=60.0), random.Random(1)
    assert backoff.delay_s(1, rng, 7.0) == 7.0
    assert backoff.delay_s(1, rng, 7000.0) == 7000.0
