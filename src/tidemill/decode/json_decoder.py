"""Checks and decodes payloads of JSON records, and of what plug-ins make into such."""

from collections.abc import Sequence
from typing import Final

from tidemill.decode.batch import Batch, assemble
from tidemill.decode.documents import Splitter, split_lines, strip
from tidemill.decode.faults import Faults
from tidemill.decode.plan import compile_plan
from tidemill.decode.plugin import as_json
from tidemill.decode.quick import quick_check
from tidemill.decode.reader import Reader
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.feeds.formats import JSON_FORMATS
from tidemill.model.payload import Logged

FAULTY_RECORDS: Final = 1000  # after so many, a check has said enough


class JsonDecoder:
    """Reads payloads of records. Thread-safe."""

    def __init__(self, feed: Feed, max_depth: int) -> None:
        self._plan = compile_plan(feed)
        self._reader = Reader(self._plan, feed.input.formats, max_depth)
        self._quick = quick_check(self._plan, max_depth)
        self._splitter = Splitter(self._plan.records)
        self._last: tuple[bytes, list[bytes] | None] = (b"", None)

    def check(self, body: bytes, format: str) -> tuple[Fault, ...]:
        """Every fault of a payload; () when all its records fit the contract."""
        if format == "json" and self._quick is not None and self._quick(body):
            return ()
        reading = self._reader.read([(body, format)], limit=FAULTY_RECORDS)
        faults = Faults()
        for place in reading.faulty:
            faults.extend(place.faults)
        return faults.all(stopped=reading.stopped)

    def decode(self, payloads: Sequence[Logged]) -> Batch:
        """Many payloads as one batch."""
        reading = self._reader.read([(logged.payload.body, logged.payload.format) for logged in payloads])
        return assemble(self._plan, reading, payloads)

    def record(self, body: bytes, format: str, index: int) -> bytes:
        """The bytes of one record, or of the payload where it cannot be cut."""
        last, pieces = self._last
        if last is not body:
            pieces = self._cut(body, format)
            self._last = (body, pieces)  # rejections of one payload are asked for one after another
        return body if pieces is None or index >= len(pieces) else pieces[index].strip()

    def _cut(self, body: bytes, format: str) -> list[bytes] | None:
        if format == "ndjson":
            return split_lines(strip(body))
        try:
            return self._splitter.split(strip(body if format in JSON_FORMATS else as_json(format, body)))
        except ValueError:
            return None
