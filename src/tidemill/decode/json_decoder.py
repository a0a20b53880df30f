"""Checks and decodes payloads of JSON records, also of formats that plug-ins convert to JSON."""

from collections.abc import Callable, Sequence
from typing import Final

from tidemill.decode.around import own_plan
from tidemill.decode.batch import Batch, assemble_batch
from tidemill.decode.compile import compile_quick_check
from tidemill.decode.cut import cut_document, cut_lines
from tidemill.decode.cut_columns import ColumnTexts, cut_columns
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.plan import compile_plan
from tidemill.decode.plugin import as_json
from tidemill.decode.reader import PayloadReader
from tidemill.decode.scan import BOM
from tidemill.decode.spans import COLUMNS, DECODED, NOT_CUT, RecordSpans
from tidemill.decode.table_json import TableForm
from tidemill.decode.texts import Texts
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.feeds.formats import JSON_FORMATS
from tidemill.model.payload import MAX_RECORDS, LogEntry

FAULTY_RECORDS: Final = 1000  # a check stops after so many


class JsonDecoder:
    """Reads payloads of records. Thread-safe."""

    def __init__(self, feed: Feed, max_depth: int, turn: Callable[[], None]) -> None:
        self._plan = compile_plan(feed)
        self._own = own_plan(self._plan)
        self._reader = PayloadReader(self._plan, feed.input.formats, max_depth, turn, TableForm.of_feed(feed))
        self._quick = compile_quick_check(self._plan, max_depth)
        self._formats = feed.input.formats
        self._form = TableForm.of_feed(feed)
        self._max_depth = max_depth

    def check_payload(self, body: bytes, format: str) -> tuple[Fault, ...]:
        """Every fault of a payload; () when all its records fit the contract."""
        if format == "json" and self._quick is not None and not self._plan.given and self._quick(body):
            return ()
        reading = self._reader.read_payloads([(body, format)], limit=FAULTY_RECORDS)
        return reading.faults.all(stopped=reading.stopped)

    def decode_batch(self, payloads: Sequence[LogEntry]) -> Batch:
        """Many payloads as one batch."""
        reading = self._reader.read_payloads([(logged.payload.body, logged.payload.format) for logged in payloads])
        return assemble_batch(self._plan, reading, payloads)

    def record_texts(self, body: bytes, format: str) -> Texts:
        """The texts of a payload's records."""
        if format not in self._formats or (self._plan.nested and format == "ndjson"):
            return Texts(body)
        if format not in JSON_FORMATS:
            try:
                body = as_json(format, body, self._form)
            except ValueError:
                return Texts(body)
        body = body.removeprefix(BOM)
        if self._plan.columnar:
            columns = cut_columns(body, self._own, self._max_depth, FaultCollector())
            return Texts(body) if columns is None else ColumnTexts(body, cut=columns)
        lines = format == "ndjson"
        cut = cut_lines(body) if lines else cut_document(body, self._plan.records, self._max_depth, FaultCollector())
        return Texts(body) if cut is None or len(cut) > MAX_RECORDS else Texts(body, cut.starts, cut.ends)

    def record_spans(self, body: bytes, format: str) -> RecordSpans:
        """Where the records of a payload are in its bytes."""
        if format not in self._formats or (self._plan.nested and format == "ndjson"):
            return RecordSpans(body, why=NOT_CUT)
        if format not in JSON_FORMATS:
            return RecordSpans(body, why=DECODED)
        bare = body.removeprefix(BOM)
        shift = len(body) - len(bare)
        if self._plan.columnar:
            columns = cut_columns(bare, self._own, self._max_depth, FaultCollector())
            return RecordSpans(body, shift=shift, why=NOT_CUT if columns is None else COLUMNS, cut=columns)
        lines = format == "ndjson"
        cut = cut_lines(bare) if lines else cut_document(bare, self._plan.records, self._max_depth, FaultCollector())
        if cut is None or len(cut) > MAX_RECORDS:
            return RecordSpans(body, why=NOT_CUT)
        return RecordSpans(body, cut.starts, cut.ends, shift, listed=cut.listed)

    def record_faults(self, body: bytes, format: str, watch: range) -> dict[int, tuple[Fault, ...]]:
        """The faults of the records whose index is in `watch`, at most a hundred of each."""
        reading = self._reader.read_payloads([(body, format)], watch=watch)
        return {index: faults.all() for index, faults in reading.watched.items()}
