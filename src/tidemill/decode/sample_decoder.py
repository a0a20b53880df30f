"""Checks and decodes payloads of feeds of shape `samples`: a payload is one series, a row is a sample."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from tidemill.decode.batch import Batch, counts_frame, identities_frame
from tidemill.decode.cut import cut_document
from tidemill.decode.documents import strip_body
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.notes import marks_frame
from tidemill.decode.rejected import Rejected
from tidemill.decode.samples import Samples, interpret_members, read_members_fast
from tidemill.decode.scan import BOM
from tidemill.decode.spans import NOT_CUT, RecordSpans
from tidemill.decode.strict_samples import read_members_strict
from tidemill.decode.texts import Texts
from tidemill.errors import Fault
from tidemill.feeds.definition import NotExact
from tidemill.model.ids import series_id
from tidemill.model.payload import LogEntry, Payload, format_name


class SamplesHead(msgspec.Struct, frozen=True):
    """The summary of a series payload: its series id, name and unit ("" where it has none), tags, number of values
    and of samples without one, and the first and last time of a sample (ns UTC, both included)."""

    series: int
    name: str
    unit: str
    tags: dict[str, str]
    count: int
    missing: int
    start_ns: int
    end_ns: int


class SampleDecoder:
    """Reads series payloads. Thread-safe."""

    def __init__(self, formats: tuple[str, ...], max_depth: int, not_exact: NotExact = "reject") -> None:
        self._formats = formats
        self._not_exact: NotExact = not_exact
        self._max_depth = max_depth
        self._last: tuple[bytes, int, Samples] | None = None

    def check_payload(self, body: bytes, format: str, received_ns: int) -> FaultCollector:
        """Every fault of a payload. The samples are kept for the next call of `head`, so that they are read once."""
        samples, faults = self._read(body, format, received_ns)
        self._last = None if samples is None else (body, received_ns, samples)
        return faults

    def samples_head(self, payload: Payload) -> SamplesHead:
        """The summary of a payload without fault. Raises ValueError if it has faults."""
        last, self._last = self._last, None
        if last is not None and last[0] is payload.body and last[1] == payload.received_ns:
            samples: Samples | None = last[2]
        else:
            samples, _ = self._read(payload.body, payload.format, payload.received_ns)
        if samples is None:
            raise ValueError("the payload is not a series")
        times = samples.times(payload.received_ns)
        series = series_id(payload.tenant, payload.feed, _identity(samples, payload), "value")
        span = int(times.min()), int(times.max())
        missing = int(np.isnan(samples.values).sum())
        return SamplesHead(series, samples.name, samples.unit, samples.tags, len(times) - missing, missing, *span)

    def decode_batch(self, payloads: Sequence[LogEntry]) -> Batch:
        """Many payloads as one batch, a row for each sample."""
        parts: list[tuple[LogEntry, Samples]] = []
        rejected = Rejected()
        sizes = []
        for logged in payloads:
            payload = logged.payload
            samples, faults = self._read(payload.body, payload.format, payload.received_ns)
            if samples is None:
                rejected.add(logged.seq, 0, faults)
            else:
                parts.append((logged, samples))
            sizes.append(1 if samples is None else len(samples.values))
        rounded = [index for _, samples in parts for index in samples.rounded]
        owners = np.repeat([logged.seq for logged, _ in parts], [len(samples.rounded) for _, samples in parts])
        return Batch(
            _frame(parts),
            rejected.frame(),
            _identities(parts),
            counts_frame(payloads, sizes),
            marks=marks_frame(owners.astype(np.uint64), np.array(rounded), "not_exact"),
        )

    def record_texts(self, body: bytes, format: str) -> Texts:
        """The text of each sample: of the first (or of the series, where it is at fault as a whole) the beginning of
        the payload, of every other its value."""
        body = body.removeprefix(BOM)
        cut = cut_document(body, ("values",), self._max_depth, FaultCollector()) if format in self._formats else None
        if cut is None or not cut.listed or not len(cut):
            return Texts(body)
        cut.starts[0], cut.ends[0] = 0, len(body)
        return Texts(body, cut.starts, cut.ends)

    def record_spans(self, body: bytes, format: str) -> RecordSpans:
        """Where the values of the samples are in the bytes of a payload."""
        bare = body.removeprefix(BOM)
        cut = cut_document(bare, ("values",), self._max_depth, FaultCollector()) if format in self._formats else None
        if cut is None or not cut.listed:
            return RecordSpans(body, why=NOT_CUT)
        return RecordSpans(body, cut.starts, cut.ends, len(body) - len(bare))

    def record_faults(self, body: bytes, format: str, received_ns: int) -> dict[int, tuple[Fault, ...]]:
        """The faults of a payload, which are of its record 0, as it counts as one."""
        samples, faults = self._read(body, format, received_ns)
        return {} if samples is not None else {0: faults.all()}

    def _read(self, body: bytes, format: str, received_ns: int) -> tuple[Samples | None, FaultCollector]:
        format, faults = format_name(format), FaultCollector()
        if format not in self._formats:
            faults.add("$", "unknown_format", f"this feed takes {' or '.join(self._formats)}")
            return None, faults
        bare = strip_body(body)
        members = read_members_fast(bare, self._max_depth, self._not_exact)
        if members is None:
            members = read_members_strict(bare, self._max_depth, faults, self._not_exact)
        return (None if members is None else interpret_members(members, received_ns, faults)), faults


def _identity(samples: Samples, payload: Payload) -> dict[str, str]:
    """The tags of the series; a series without tags and name gets the tag `receipt`, so that two such are never one."""
    return samples.tags or {"receipt": payload.receipt}


def _identities(parts: Sequence[tuple[LogEntry, Samples]]) -> pl.DataFrame:
    frame = identities_frame([_identity(samples, logged.payload) for logged, samples in parts])
    return frame.with_columns(
        pl.Series("name", [samples.name for _, samples in parts], dtype=pl.String),
        pl.Series("unit", [samples.unit for _, samples in parts], dtype=pl.String),
        pl.Series("description", [samples.description for _, samples in parts], dtype=pl.String),
    )


def _frame(parts: Sequence[tuple[LogEntry, Samples]]) -> pl.DataFrame:
    sizes = [len(samples.values) for _, samples in parts]

    def repeated(values: list[Any], kind: Any) -> Any:
        return np.repeat(np.array(values, kind), sizes)

    values = np.concatenate([samples.values for _, samples in parts] or [np.zeros(0)])
    times = [samples.times(logged.payload.received_ns) for logged, samples in parts] or [np.zeros(0, np.int64)]
    return pl.DataFrame(
        {
            "seq": repeated([logged.seq for logged, _ in parts], np.uint64),
            "idx": np.concatenate([np.arange(size, dtype=np.uint32) for size in sizes] or [np.zeros(0, np.uint32)]),
            "received_ns": repeated([logged.payload.received_ns for logged, _ in parts], np.int64),
            "identity": repeated(list(range(len(parts))), np.uint32),
            "wall_ns": np.concatenate(times),
            "local": np.zeros(len(values), np.uint8),
            "f.value": pl.Series(values).fill_nan(None),
        }
    )
