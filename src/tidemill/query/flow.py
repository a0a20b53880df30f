"""Flow: how many records came in, and what became of them, by feed and window of the time of receipt.

The balance always adds up: received = accepted + rejected + waiting. A payload counts once. Up to the applied offset
of its partition it is in the store, with the outcome of its records; beyond, it waits in the log. Both are read against
the same offset, so a payload that is applied in between is neither lost nor counted twice. The number of records of a
payload is known once it is applied: until then the payload counts as one that waits.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.errors import Fault, InputError
from tidemill.model.ids import receipt_floor
from tidemill.model.offset import Reach
from tidemill.model.time import MIN_NS, NS_PER_S, format_instant
from tidemill.query.flow_windows import FlowWindows, flow_windows
from tidemill.query.parameters import Every, FeedName, RangeParameters, Zone, one_of
from tidemill.query.point_windows import format_instants
from tidemill.query.readers import WindowLength
from tidemill.query.waiting import WaitingOfFeed, WaitingPayloads
from tidemill.store.client import Store

_DAY_NS: Final = 86_400 * NS_PER_S
_MINUTE_NS: Final = 60 * NS_PER_S
_HOUR_NS: Final = 60 * _MINUTE_NS
_SUMS: Final = ("payloads", "accepted", "rejected", "late", "duplicate", "flagged", "bytes")


class FlowQuery(RangeParameters, frozen=True):
    """What was received in [start, end): the last 24 hours unless given."""

    every: Every = None
    tz: Zone = "UTC"
    feed: FeedName = None
    shape: Annotated[
        Literal["columns"], one_of("`columns`: the begins of the windows once, and arrays as long.", "columns")
    ] = "columns"


class FlowCounts(msgspec.Struct, frozen=True):
    """Counts of records: received = accepted + rejected + waiting. A payload that is not applied counts as one that
    waits, whatever is in it. `late`, `flagged`: of the accepted records those that came long after the end of their
    window, and those with a mark (of payloads applied by an earlier release: 0; of a payload with duplicates at most so
    many). `duplicate`: of the rejected ones.
    `payloads`: how many payloads came, also those that wait, with `bytes` of bodies."""

    payloads: int
    received: int
    accepted: int
    rejected: int
    waiting: int
    late: int
    duplicate: int
    flagged: int
    bytes: int


class FlowColumns(msgspec.Struct, frozen=True):
    """The counts of FlowCounts by window: each array is as long as `time` of the answer."""

    payloads: list[int]
    received: list[int]
    accepted: list[int]
    rejected: list[int]
    waiting: list[int]
    late: list[int]
    duplicate: list[int]
    flagged: list[int]
    bytes: list[int]


class FeedFlow(msgspec.Struct, frozen=True):
    """A feed that something was received for. `lag_s`: how long its oldest payload has waited by now (0: none waits),
    whenever it was received."""

    feed: str
    lag_s: float
    totals: FlowCounts
    columns: FlowColumns


class Flow(msgspec.Struct, frozen=True):
    """What was received in [start, end), by time of receipt. `time`: the begins of the windows of length `every`, the
    first of which may be before `start`: counts are of the range only. `totals` and `columns` are of all feeds
    together, `feeds` of each, ordered by name. `lag_s` is the longest of all feeds."""

    start: str
    end: str
    every: str
    tz: str
    as_of: str
    lag_s: float
    totals: FlowCounts
    time: list[str]
    columns: FlowColumns
    feeds: list[FeedFlow]


class FeedNow(msgspec.Struct, frozen=True):
    """How a feed flows now. `per_minute`: records received in the last 60 s; `minutes`: those of the last hour by
    minute, 60 counts, oldest first; `last_hour`: their totals; `lag_s`: how long its oldest payload has waited."""

    per_minute: int
    minutes: list[int]
    last_hour: FlowCounts
    lag_s: float


class FlowQueries:
    """Counts what flows through one store and log."""

    def __init__(self, store: Store, waiting: WaitingPayloads) -> None:
        self._store, self._waiting = store, waiting

    def flow(self, tenant: str, query: FlowQuery, now_ns: int) -> Flow:
        """The flow of a range. Raises InputError for an empty range, LimitError for too many windows,
        StoreUnavailableError, StoreQueryError, LogUnavailableError."""
        first, end = flow_range(query, now_ns)
        windows = flow_windows(query.every, first, end, query.tz)
        reach, waiting = self._waiting.read(tenant)
        waiting = {feed: item for feed, item in waiting.items() if query.feed in (None, feed)}
        stored = self._stored(tenant, query.feed or "", (first, end), windows, reach)
        count = len(windows.begins)
        names = sorted({*stored, *(feed for feed, item in waiting.items() if _within(item, first, end).any())})
        lags = {feed: lag_s(item, now_ns) for feed, item in waiting.items()}
        sums = {name: _with_waiting(stored.get(name), waiting.get(name), (first, end), windows) for name in names}
        whole = np.sum(list(sums.values()), axis=0) if sums else np.zeros((_ROWS, count), np.int64)
        return Flow(
            start=format_instant(first),
            end=format_instant(end),
            every=windows.every.text,
            tz=query.tz,
            as_of=format_instant(now_ns),
            lag_s=max(lags.values(), default=0.0),
            totals=_totals(whole),
            time=format_instants(pl.Series(windows.begins), query.tz).to_list(),
            columns=_columns(whole),
            feeds=[FeedFlow(name, lags.get(name, 0.0), _totals(sums[name]), _columns(sums[name])) for name in names],
        )

    def now(self, tenant: str, now_ns: int) -> dict[str, FeedNow]:
        """How each feed flows that something was received for within the hour, or that something waits for."""
        first, end = now_ns - _HOUR_NS, now_ns
        begins = np.arange(first, end, _MINUTE_NS, dtype=np.int64)
        windows = FlowWindows(WindowLength(1, "m"), begins, _MINUTE_NS)
        reach, waiting = self._waiting.read(tenant)
        stored = self._stored(tenant, "", (first, end), windows, reach)
        flows = {}
        for name in {*stored, *waiting}:
            counts = _with_waiting(stored.get(name), waiting.get(name), (first, end), windows)
            minutes = _columns(counts).received
            lag = lag_s(waiting[name], now_ns) if name in waiting else 0.0
            flows[name] = FeedNow(minutes[-1], minutes, _totals(counts), lag)
        return flows

    def _stored(
        self, tenant: str, feed: str, span: tuple[int, int], windows: FlowWindows, reach: Reach
    ) -> Mapping[str, NDArray[np.int64]]:
        """By feed the counts _SUMS (rows) by window (columns) of what is applied up to `reach`."""
        frame = self._store.frame(
            "flow",
            tenant=tenant,
            feed=feed,
            applied=list(reach),
            origin=int(windows.begins[0]),
            step=windows.step_ns,
            since=receipt_floor(span[0]),
            first=span[0],
            last=span[1] - 1,
        )
        counts: dict[str, NDArray[np.int64]] = {}
        for (name,), rows in frame.group_by("feed"):
            index = windows.of_slots(rows["slot"].to_numpy())
            table = np.zeros((len(_SUMS), len(windows.begins)), np.int64)
            for row, column in enumerate(_SUMS):
                np.add.at(table[row], index, rows[column].cast(pl.Int64).to_numpy())
            counts[str(name)] = table
        return counts


def flow_range(query: RangeParameters, now_ns: int) -> tuple[int, int]:
    """The range [first, end) in ns: up to now and over a day unless given. Raises InputError where it is empty."""
    end = query.end
    if end is None:
        end = max(now_ns + 1, query.start + 1) if query.start is not None else now_ns + 1
    first = max(MIN_NS, end - _DAY_NS) if query.start is None else query.start
    if first >= end:
        message = "'start' is not before 'end': no time is between them"
        raise InputError(message, (Fault("$query.start", "out_of_order", message),))
    return first, end


def lag_s(waiting: WaitingOfFeed, now_ns: int) -> float:
    """How long the oldest of these payloads has waited, in seconds; 0 where none waits."""
    oldest = int(waiting.received_ns.min(initial=now_ns))
    return round((now_ns - oldest) / NS_PER_S, 3)


_ROWS: Final = len(_SUMS) + 1  # and `waiting`


def _with_waiting(
    stored: NDArray[np.int64] | None, waiting: WaitingOfFeed | None, span: tuple[int, int], windows: FlowWindows
) -> NDArray[np.int64]:
    """The rows _SUMS and `waiting`, by window, of one feed."""
    table = np.zeros((_ROWS, len(windows.begins)), np.int64)
    if stored is not None:
        table[: len(_SUMS)] = stored
    if waiting is not None:
        inside = _within(waiting, *span)
        index = windows.of_times(waiting.received_ns[inside])
        np.add.at(table[-1], index, 1)
        np.add.at(table[_SUMS.index("payloads")], index, 1)
        np.add.at(table[_SUMS.index("bytes")], index, waiting.bytes[inside])
    return table


def _within(waiting: WaitingOfFeed, first_ns: int, end_ns: int) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (waiting.received_ns >= first_ns) & (waiting.received_ns < end_ns)
    return inside


def _columns(table: NDArray[np.int64]) -> FlowColumns:
    by_name: dict[str, NDArray[np.int64]] = dict(zip((*_SUMS, "waiting"), table, strict=True))
    received = by_name["accepted"] + by_name["rejected"] + by_name["waiting"]
    return FlowColumns(received=received.tolist(), **{name: column.tolist() for name, column in by_name.items()})


def _totals(table: NDArray[np.int64]) -> FlowCounts:
    columns = _columns(table.sum(axis=1, keepdims=True))
    return FlowCounts(**{name: values[0] for name, values in msgspec.structs.asdict(columns).items()})
