"""The drain of a server: the time between the signal to end and the end of its listener.

In that time `/readyz` answers 503, so that a balancer sends new requests elsewhere, while requests that still come are
served. A balancer that only notices a closed listener would lose those that it sent meanwhile.
"""


class Draining:
    """The drain of one server, which takes `drain_s` seconds (0: none). Lives in one event loop; begins once.

    Times are of a monotonic clock, in seconds.
    """

    def __init__(self, drain_s: float) -> None:
        self._drain_s = drain_s
        self._ends_at: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether the server was told to end."""
        return self._ends_at is not None

    def begin(self, now: float) -> bool:
        """Begin to drain; false where there is nothing to begin: no time for it, or it has begun before."""
        if self._drain_s <= 0 or self._ends_at is not None:
            return False
        self._ends_at = now + self._drain_s
        return True

    def is_over(self, now: float) -> bool:
        """Whether the drain began and its time is over."""
        return self._ends_at is not None and now >= self._ends_at
