"""The decoder of an open feed: checks payloads for intake, decodes many for the mill."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from tidemill.decode.batch import Batch
from tidemill.decode.csv_rows import csv_bounds
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.open.ndjson import is_array
from tidemill.decode.open.options import stored_options
from tidemill.decode.open.records import OpenPayload, OpenRecords, Tags
from tidemill.decode.open.registry import OPEN_READERS
from tidemill.decode.open.tables import TYPED, row_texts
from tidemill.decode.spans import NOT_CUT, RecordSpans
from tidemill.decode.texts import Texts
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.model.payload import LogEntry, split_format

_NO_LINES: Final = "Its values are in columns of a table, so that the record is no one stretch of bytes."


class OpenCheck(msgspec.Struct, frozen=True):
    """What intake learns of a payload: its records, how many of them are at fault, the first faults by index, why it is
    refused as a whole (or None), and the series of its records."""

    records: int
    rejected: int
    faults: tuple[tuple[int, Fault], ...]
    refused: tuple[Fault, ...]
    series: dict[tuple[Tags, tuple[str, ...]], None]


class OpenDecoder:
    """Reads payloads of open feeds. Thread-safe."""

    def __init__(self, feed: Feed) -> None:
        self._formats = feed.input.formats

    def check(self, body: bytes, format: str, most: int = 100) -> OpenCheck:
        """What is in a payload, with at most `most` faults."""
        faults: list[tuple[int, Fault]] = []

        def keep(_number: int, index: int, collected: FaultCollector) -> None:
            if len(faults) < most:
                faults.extend((index, fault) for fault in collected.all()[:1])

        records = OpenRecords(keep)
        payload = self._read(body, format, records, 0)
        refused = payload.refused.all() if payload.refused is not None else ()
        series = {} if refused else dict.fromkeys(records.series())
        return OpenCheck(payload.count, payload.faults, tuple(sorted(faults, key=_index)), refused, series)

    def check_payload(self, body: bytes, format: str) -> tuple[Fault, ...]:
        """Why a payload is refused as a whole; () where it is not, whatever its records are."""
        return self.check(body, format).refused

    def decode_batch(self, payloads: Sequence[LogEntry]) -> Batch:
        """Many payloads as one batch."""
        records, counts = OpenRecords(), []
        for number, entry in enumerate(payloads):
            payload = self._read(entry.payload.body, entry.payload.format, records, number)
            if payload.refused is not None:
                records.rejected.add(number, 0, payload.refused)
            counts.append(payload.count)
        return records.batch(payloads, counts)

    def record_texts(self, body: bytes, format: str) -> Texts:
        """The texts of a payload's records: its lines, or its rows as JSON; else the beginning of the payload."""
        if split_format(format)[0] in TYPED:
            return row_texts(body, split_format(format)[0])
        cut = _lines(body, format)
        return Texts(body) if cut is None else Texts(body, *cut)

    def record_spans(self, body: bytes, format: str) -> RecordSpans:
        """Where the records of a payload are in its bytes."""
        name = split_format(format)[0]
        cut = _lines(body, format)
        if cut is None:
            return RecordSpans(body, why=_NO_LINES if name in self._formats else NOT_CUT)
        return RecordSpans(body, *cut)

    def record_faults(self, body: bytes, format: str, watch: range) -> dict[int, tuple[Fault, ...]]:
        """The faults of the records whose index is in `watch`; those of the whole payload are of record 0."""
        faults: dict[int, tuple[Fault, ...]] = {}

        def keep(_number: int, index: int, collected: FaultCollector) -> None:
            if index in watch:
                faults[index] = collected.all()

        payload = self._read(body, format, OpenRecords(keep), 0)
        if payload.refused is not None:
            return {0: payload.refused.all()} if 0 in watch else {}
        return faults

    def _read(self, body: bytes, format: str, records: OpenRecords, number: int) -> OpenPayload:
        name, variables = split_format(format)
        payload = records.payload(number)
        if name not in self._formats:
            payload.refuse("unknown_format", f"this feed takes {', '.join(self._formats)}")
            return payload
        OPEN_READERS[name].read(body, stored_options(variables), payload)
        if payload.refused is not None:
            records.drop(number)
        return payload


def _index(pair: tuple[int, Any]) -> int:
    return pair[0]


def _lines(body: bytes, format: str) -> tuple[list[int], list[int]] | None:
    """Starts and ends of the lines of a payload of lines, or of the rows of CSV; each is a record by its number. Else
    None."""
    name = split_format(format)[0]
    reader = OPEN_READERS.get(name)
    if reader is None:
        return None
    if name == "csv":
        firsts, lasts = csv_bounds(body)
        return firsts[1:].tolist(), lasts[1:].tolist()
    if not reader.lines or (name == "ndjson" and is_array(body)):
        return None
    ends = np.flatnonzero(np.frombuffer(body, np.uint8) == 0x0A)
    if not body.endswith(b"\n"):
        ends = np.append(ends, len(body))
    starts = np.concatenate([[0], ends[:-1] + 1])
    return starts.tolist(), ends.tolist()
