"""Counts answers and payloads (one dictionary step a request), writes metrics as Prometheus text (version 0.0.4)."""

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from tidemill.api.series_limit import SeriesLimit

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# The counters of the mill (`mill/status.py`), shown as `tidemill_mill_<name>_total`.
MILL_COUNTERS: Final = ("accepted", "rejected", "points", "replaced", "changes", "restatements", "poisoned", "returns")

# name -> (type, help) of every metric that `/metrics` shows.
METRICS: Final[dict[str, tuple[str, str]]] = {
    "tidemill_http_requests_total": ("counter", "Requests answered, by route and status."),
    "tidemill_http_request_seconds": ("histogram", "Time to answer, by route."),
    "tidemill_intake_bytes_total": ("counter", "Bytes of payloads made durable (unpacked), by feed."),
    "tidemill_intake_payloads_total": ("counter", "Payloads made durable, by feed and kind (data, refused)."),
    "tidemill_intake_in_flight": ("gauge", "Intake requests in flight."),
    "tidemill_intake_in_flight_bytes": ("gauge", "Bytes of bodies in flight."),
    "tidemill_open_series": ("gauge", "Series of a tenant that sends to open feeds; max_series bounds them."),
    "tidemill_open_series_refused_total": ("counter", "Payloads refused because of max_series, by tenant."),
    "tidemill_log_last_seq": ("gauge", "Newest durable offset in the log."),
    "tidemill_log_first_seq": ("gauge", "Oldest offset that the log keeps."),
    "tidemill_log_bytes": ("gauge", "Size of the log on disk."),
    "tidemill_log_free_bytes": ("gauge", "Free disk where the log is."),
    "tidemill_log_accepting": ("gauge", "1 when payloads can be acknowledged, else 0."),
    "tidemill_clock_trusted": ("gauge", "1 when applied payloads are trimmed by age; 0 while the clock is in doubt."),
    "tidemill_applied_seq": ("gauge", "Offset in the log up to which the mill has applied everything."),
    "tidemill_confirmed_seq": ("gauge", "Offset up to which a count of the store confirmed that; trimming ends there."),
    "tidemill_mill_stalled": ("gauge", "1 when nothing more is applied for 30 s though something waits, else 0."),
    "tidemill_mill_no_progress_seconds": ("gauge", "Seconds since something was applied while something waits."),
    "tidemill_mill_accepted_total": ("counter", "Records accepted, since the mill started."),
    "tidemill_mill_rejected_total": ("counter", "Records rejected."),
    "tidemill_mill_points_total": ("counter", "Points written."),
    "tidemill_mill_replaced_total": ("counter", "Values that a later submission superseded."),
    "tidemill_mill_changes_total": ("counter", "Published values that changed."),
    "tidemill_mill_restatements_total": ("counter", "Rollup windows restated."),
    "tidemill_mill_poisoned_total": ("counter", "Payloads set aside because they could not be applied."),
    "tidemill_mill_returns_total": ("counter", "Times that the store lacked what it had answered for."),
    "tidemill_store_up": ("gauge", "1 when the store answers, else 0."),
    "tidemill_jobs": ("gauge", "Jobs that the catalog keeps, by kind and state."),
    "tidemill_jobs_oldest_queued_seconds": ("gauge", "How long the oldest queued job waits, by kind; 0: none does."),
}


ACKNOWLEDGED: Final = ("/v1/feeds/{feed}", 202)  # route and status of a payload that is acknowledged without a wait
_REMEMBERED: Final = 5_000
_RECENT_S: Final = 300.0


class Acknowledgements(msgspec.Struct, frozen=True):
    """How long the acknowledgements of the last 5 minutes took, at most the newest 5,000: null where there were
    none."""

    count: int
    p50_ms: float | None
    p99_ms: float | None


class Metrics:
    """The counters of this process. Lives in one event loop."""

    def __init__(self) -> None:
        self._acknowledged: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self.answers: Counter[tuple[str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self.payloads: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[str] = Counter()
        self.series_limit: SeriesLimit | None = None

    def series_of_open_feeds(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """The metrics of the limit of series, by tenant."""
        if self.series_limit is None:
            return {}
        shown = {
            "tidemill_open_series": self.series_limit.counts(),
            "tidemill_open_series_refused_total": self.series_limit.refused,
        }
        return {name: [({"tenant": t}, n) for t, n in sorted(counts.items())] for name, counts in shown.items()}

    def count_answer(self, route: str, status: int, seconds: float) -> None:
        """Count one answer of a route, by its path template, so that the number of labels is bounded."""
        self.answers[route, status] += 1
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * (len(BUCKETS_S) + 1)
        buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]  # a Counter of floats
        if (route, status) == ACKNOWLEDGED:
            self._acknowledged.append((time.monotonic(), seconds))

    def acknowledgements(self) -> Acknowledgements:
        """How long acknowledgements take."""
        since = time.monotonic() - _RECENT_S
        times = sorted(seconds for at, seconds in self._acknowledged if at >= since)
        if not times:
            return Acknowledgements(0, None, None)
        of = (round(times[int(share * (len(times) - 1))] * 1e3, 3) for share in (0.5, 0.99))
        return Acknowledgements(len(times), *of)

    def count_payload(self, feed: str, kind: str, size: int) -> None:
        """Count one durable payload."""
        self.payloads[feed, kind] += 1
        self.bytes[feed] += size

    def prometheus_page(
        self,
        gauges: dict[str, float],
        by_partition: dict[str, list[int]],
        labelled: dict[str, list[tuple[dict[str, str], float]]],
    ) -> str:
        """The whole page. By metric name: `gauges` are present values, `by_partition` those of each partition of the
        log (with the label `partition` where there are several), `labelled` those with other labels."""
        lines: list[str] = []
        for name, (kind, text) in METRICS.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            if name in gauges:
                lines.append(f"{name} {gauges[name]:g}" if gauges[name] < 1e6 else f"{name} {gauges[name]:.0f}")
            elif name in by_partition:
                values = by_partition[name]
                labels = [_labels(partition=str(n)) if len(values) > 1 else "" for n in range(len(values))]
                lines += [f"{name}{label} {value}" for label, value in zip(labels, values, strict=True)]
            elif name in labelled:
                lines += [f"{name}{_labels(**labels)} {value:g}" for labels, value in labelled[name]]
            elif name == "tidemill_http_requests_total":
                lines += [
                    f"{name}{_labels(route=route, status=str(status))} {count}"
                    for (route, status), count in sorted(self.answers.items())
                ]
            elif name == "tidemill_http_request_seconds":
                lines += self._histogram(name)
            elif name == "tidemill_intake_bytes_total":
                lines += [f"{name}{_labels(feed=feed)} {size}" for feed, size in sorted(self.bytes.items())]
            elif name == "tidemill_intake_payloads_total":
                lines += [
                    f"{name}{_labels(feed=feed, kind=kind)} {count}"
                    for (feed, kind), count in sorted(self.payloads.items())
                ]
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> Iterable[str]:
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), buckets, strict=True):
                total += count
                yield f"{name}_bucket{_labels(route=route, le=bound)} {total}"
            yield f"{name}_sum{_labels(route=route)} {self._seconds[route]:.6f}"
            yield f"{name}_count{_labels(route=route)} {total}"


def _labels(**labels: str) -> str:
    inner = ",".join(
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in labels.items()
    )
    return "{" + inner + "}"
