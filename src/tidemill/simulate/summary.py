"""The result of a simulator: counts of requests and of expected answers, examples of unexpected ones, latencies."""

import logging
from collections import deque
from typing import Final

import msgspec

log = logging.getLogger(__name__)

_EXAMPLES: Final = 5
_SAMPLES: Final = 100_000  # the newest latencies are kept; percentiles of longer runs are of these


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run. `accepted`, `refused` (refusals that were expected) and `unexpected` add up to `sent`;
    `verified` counts comparisons with what was read back, `retried` repeated requests (no connection, or a 503).
    Latencies in ms, null when nothing was sent."""

    name: str
    sent: int
    accepted: int
    refused: int
    unexpected: int
    retried: int
    verified: int
    examples: tuple[str, ...]
    p50_ms: float | None
    p99_ms: float | None
    elapsed_s: float

    @property
    def exit_code(self) -> int:
        """0 when every answer was expected, else 1."""
        return 1 if self.unexpected else 0

    def text(self) -> str:
        """The summary as lines for a terminal."""
        rate = self.sent / self.elapsed_s if self.elapsed_s else 0.0
        lines = [
            f"{self.name}: {self.sent} sent in {self.elapsed_s:.1f} s ({rate:.0f}/s)",
            f"  accepted {self.accepted}, refused as expected {self.refused}, unexpected {self.unexpected}",
            f"  retried {self.retried}, verified {self.verified}",
        ]
        if self.p50_ms is not None and self.p99_ms is not None:
            lines.append(f"  latency p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms")
        return "\n".join([*lines, *(f"  ! {example}" for example in self.examples)])


class Counter:
    """Counts the outcomes that a Summary reports."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._latencies: deque[float] = deque(maxlen=_SAMPLES)
        self._examples: list[str] = []
        self.sent = self.accepted = self.refused = self.unexpected = self.retried = self.verified = 0

    def add_unexpected(self, example: str) -> None:
        """Counts an unexpected outcome; the first few are kept as examples."""
        self.unexpected += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append(example)
            log.warning("%s: unexpected: %s", self._name, example)

    def add_latency(self, seconds: float) -> None:
        """Adds the latency of one answer."""
        self._latencies.append(seconds)

    def summary(self, elapsed_s: float) -> Summary:
        """The Summary so far."""
        ordered = sorted(self._latencies)
        return Summary(
            name=self._name,
            sent=self.sent,
            accepted=self.accepted,
            refused=self.refused,
            unexpected=self.unexpected,
            retried=self.retried,
            verified=self.verified,
            examples=tuple(self._examples),
            p50_ms=_percentile_ms(ordered, 0.50),
            p99_ms=_percentile_ms(ordered, 0.99),
            elapsed_s=elapsed_s,
        )


def _percentile_ms(ordered: list[float], share: float) -> float | None:
    """The nearest-rank percentile of ascending seconds, in ms."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3)
