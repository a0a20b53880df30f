"""The decoder of a feed: what intake asks of one payload, and what the mill asks of many.

Built once for each feed version; thread-safe. It decides nothing but the contract of bytes: JSON, members, types,
ranges, times that can be read. Zones, rules and duplicates are for `rules/`.
"""

from collections.abc import Sequence
from typing import Final

from tidemill.decode.batch import Batch, assemble
from tidemill.decode.documents import Splitter, split_lines, strip
from tidemill.decode.faults import Faults
from tidemill.decode.plan import compile_plan
from tidemill.decode.quick import quick_check
from tidemill.decode.reader import Reader
from tidemill.decode.sample_decoder import SampleDecoder, SamplesHead
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.model.payload import Logged, Payload

MAX_DEPTH: Final = 16  # of arrays and objects in each other, unless told otherwise
DEEPEST: Final = 128  # what `max_depth` may be; far below where a reader would run out of stack
MAX_RECORD_TEXT: Final = 64 << 10  # bytes of a record kept in the ledger
_FAULTY_RECORDS: Final = 1000  # after so many, a check has said enough


class Decoder:
    """Checks and decodes payloads of one feed."""

    def __init__(self, feed: Feed, *, max_depth: int = MAX_DEPTH) -> None:
        self._plan = compile_plan(feed)
        self._reader = Reader(self._plan, feed.input.formats, max_depth)
        self._quick = quick_check(self._plan, max_depth)
        self._series = SampleDecoder(feed.input.formats, max_depth) if feed.shape.kind == "samples" else None
        self._splitter = Splitter(self._plan.records)
        self._last: tuple[bytes, list[bytes] | None] = (b"", None)

    def check(self, body: bytes, format: str, received_ns: int) -> tuple[Fault, ...]:
        """Every fault of a payload (at most a hundred by name); () when all its records fit the contract."""
        if self._series is not None:
            return self._series.check(body, format, received_ns).all()
        if format == "json" and self._quick is not None and self._quick(body):
            return ()
        reading = self._reader.read([(body, format)], limit=_FAULTY_RECORDS)
        faults = Faults()
        for place in reading.faulty:
            faults.extend(place.faults)
        return faults.all(stopped=reading.stopped)

    def decode(self, payloads: Sequence[Logged]) -> Batch:
        """Many payloads of this feed version as one batch. Never raises for what is in them."""
        if self._series is not None:
            return self._series.decode(payloads)
        reading = self._reader.read([(logged.payload.body, logged.payload.format) for logged in payloads])
        return assemble(self._plan, reading, payloads)

    def samples(self, payload: Payload) -> SamplesHead:
        """What a payload of shape `samples` will be: series, count, first and last time. Costs next to nothing right
        after its `check`. Raises ValueError for a payload with faults, and for other shapes."""
        if self._series is None:
            raise ValueError("the feed is not of shape 'samples'")
        return self._series.head(payload)

    def record(self, body: bytes, format: str, index: int) -> str:
        """The text of one record of a payload, or the first 64 KiB of the payload where it cannot be cut."""
        last, pieces = self._last
        if last is not body:
            pieces = self._cut(body, format)
            self._last = (body, pieces)  # rejections of one payload are asked for one after another
        piece = body if pieces is None or index >= len(pieces) else pieces[index].strip()
        return piece[:MAX_RECORD_TEXT].decode("utf-8", "replace")

    def _cut(self, body: bytes, format: str) -> list[bytes] | None:
        if self._series is not None:
            return None
        return split_lines(strip(body)) if format == "ndjson" else self._splitter.split(strip(body))
