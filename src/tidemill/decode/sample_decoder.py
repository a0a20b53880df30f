"""Checks and decodes payloads of feeds of shape `samples`: one series a payload, one row a sample."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from tidemill.decode.batch import Batch, counts_frame, identities_frame
from tidemill.decode.cut import cut_document
from tidemill.decode.documents import strip_body
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.rejected import Rejected
from tidemill.decode.samples import Samples, interpret_members, read_members_fast
from tidemill.decode.scan import BOM
from tidemill.decode.strict_samples import read_members_strict
from tidemill.decode.texts import Texts
from tidemill.model.ids import series_id
from tidemill.model.payload import LogEntry, Payload, format_name


class SamplesHead(msgspec.Struct, frozen=True):
    """What a series payload will be: its series, what it is called (texts are empty where it says nothing), how many
    samples, and its first and last time (ns UTC, both of samples that are there)."""

    series: int
    name: str
    unit: str
    tags: dict[str, str]
    count: int
    start_ns: int
    end_ns: int


class SampleDecoder:
    """Reads series payloads. Thread-safe."""

    def __init__(self, formats: tuple[str, ...], max_depth: int) -> None:
        self._formats = formats
        self._max_depth = max_depth
        self._last: tuple[bytes, int, Samples] | None = None

    def check(self, body: bytes, format: str, received_ns: int) -> FaultCollector:
        """Every fault of a payload. What was read is kept until `head` asks for it, so that it is read once."""
        found, faults = self._read(body, format, received_ns)
        self._last = None if found is None else (body, received_ns, found)
        return faults

    def head(self, payload: Payload) -> SamplesHead:
        """What a payload without fault will be. Raises ValueError if it has faults."""
        last, self._last = self._last, None
        if last is not None and last[0] is payload.body and last[1] == payload.received_ns:
            found: Samples | None = last[2]
        else:
            found, _ = self._read(payload.body, payload.format, payload.received_ns)
        if found is None:
            raise ValueError("the payload is not a series")
        times = found.at(payload.received_ns)
        series = series_id(payload.tenant, payload.feed, _identity(found, payload), "value")
        span = int(times.min()), int(times.max())
        return SamplesHead(series, found.name, found.unit, found.tags, len(times), *span)

    def decode(self, payloads: Sequence[LogEntry]) -> Batch:
        """Many payloads as one batch, a row a sample."""
        parts: list[tuple[LogEntry, Samples]] = []
        rejected = Rejected()
        sizes = []
        for logged in payloads:
            payload = logged.payload
            found, faults = self._read(payload.body, payload.format, payload.received_ns)
            if found is None:
                rejected.add(logged.seq, 0, faults)
            else:
                parts.append((logged, found))
            sizes.append(1 if found is None else len(found.values))
        return Batch(_frame(parts), rejected.frame(), _identities(parts), counts_frame(payloads, sizes))

    def texts(self, body: bytes, format: str) -> Texts:
        """The beginning of the payload for the first sample (or the series, where it is at fault as a whole), its value
        for every other."""
        body = body.removeprefix(BOM)
        cut = cut_document(body, ("values",), self._max_depth, FaultCollector()) if format in self._formats else None
        if cut is None or not cut.listed or not len(cut):
            return Texts(body)
        cut.starts[0], cut.ends[0] = 0, len(body)
        return Texts(body, cut.starts, cut.ends)

    def _read(self, body: bytes, format: str, received_ns: int) -> tuple[Samples | None, FaultCollector]:
        format, faults = format_name(format), FaultCollector()
        if format not in self._formats:
            faults.add("$", "unknown_format", f"this feed takes {' or '.join(self._formats)}")
            return None, faults
        bare = strip_body(body)
        members = read_members_fast(bare, self._max_depth) or read_members_strict(bare, self._max_depth, faults)
        return (None if members is None else interpret_members(members, received_ns, faults)), faults


def _identity(found: Samples, payload: Payload) -> dict[str, str]:
    """The tags; a series that brings neither tags nor a name is its own, so that two such never mix."""
    return found.tags or {"receipt": payload.receipt}


def _identities(parts: Sequence[tuple[LogEntry, Samples]]) -> pl.DataFrame:
    frame = identities_frame([_identity(found, logged.payload) for logged, found in parts])
    return frame.with_columns(
        pl.Series("name", [found.name for _, found in parts], dtype=pl.String),
        pl.Series("unit", [found.unit for _, found in parts], dtype=pl.String),
        pl.Series("description", [found.description for _, found in parts], dtype=pl.String),
    )


def _frame(parts: Sequence[tuple[LogEntry, Samples]]) -> pl.DataFrame:
    sizes = [len(found.values) for _, found in parts]

    def repeated(values: list[Any], kind: Any) -> Any:
        return np.repeat(np.array(values, kind), sizes)

    values = np.concatenate([found.values for _, found in parts] or [np.zeros(0)])
    times = [found.at(logged.payload.received_ns) for logged, found in parts] or [np.zeros(0, np.int64)]
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
