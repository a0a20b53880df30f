"""The decoder of a feed: checks one payload for intake, decodes many for the mill.

Built once for each feed version; thread-safe. It checks only the contract of bytes: format, members, types, ranges,
times that can be read. Zones, rules and duplicates are left to `rules/`. JSON records, series of samples and binary
records have a decoder each.
"""

from collections.abc import Callable, Sequence
from typing import Final

from tidemill.decode.batch import Batch
from tidemill.decode.json_decoder import JsonDecoder
from tidemill.decode.layout_decoder import LayoutDecoder
from tidemill.decode.open.decoder import OpenCheck, OpenDecoder
from tidemill.decode.sample_decoder import SampleDecoder, SamplesHead
from tidemill.decode.spans import RecordSpans
from tidemill.decode.texts import Texts
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.model.payload import LogEntry, Payload, format_name

MAX_DEPTH: Final = 16  # how deep arrays and objects may nest, by default
DEEPEST: Final = 128  # the largest `max_depth`; far below where a reader would run out of stack


class Decoder:
    """Checks and decodes payloads of one feed. `turn` is called repeatedly while records are read one by one, as a
    heartbeat: that may take long."""

    def __init__(self, feed: Feed, *, max_depth: int = MAX_DEPTH, turn: Callable[[], None] = lambda: None) -> None:
        self._decoder: JsonDecoder | SampleDecoder | LayoutDecoder | OpenDecoder
        if feed.shape.kind == "samples":
            self._decoder = SampleDecoder(feed.input.formats, max_depth, feed.input.not_exact)
        elif feed.input.open:
            self._decoder = OpenDecoder(feed)
        elif feed.input.layout is not None:
            self._decoder = LayoutDecoder(feed, feed.input.layout)
        else:
            self._decoder = JsonDecoder(feed, max_depth, turn)

    def check_payload(self, body: bytes, format: str, received_ns: int) -> tuple[Fault, ...]:
        """The faults of a payload (the first hundred, and how many more there are); () when all its records fit the
        contract."""
        if isinstance(self._decoder, SampleDecoder):
            return self._decoder.check_payload(body, format, received_ns).all()
        return self._decoder.check_payload(body, format)

    def check_open(self, body: bytes, format: str) -> OpenCheck:
        """What is in a payload of an open feed. Raises ValueError for another feed."""
        if not isinstance(self._decoder, OpenDecoder):
            raise ValueError("the feed is no open feed")
        return self._decoder.check(body, format)

    def decode_batch(self, payloads: Sequence[LogEntry]) -> Batch:
        """Many payloads of this feed version as one batch. Never raises for what is in them."""
        return self._decoder.decode_batch(payloads)

    def samples_head(self, payload: Payload) -> SamplesHead:
        """Series, count, first and last time of a payload of shape `samples`. Nearly free directly after its
        `check_payload`. Raises ValueError for a payload with faults, and for other shapes."""
        if not isinstance(self._decoder, SampleDecoder):
            raise ValueError("the feed is not of shape 'samples'")
        return self._decoder.samples_head(payload)

    def record_texts(self, body: bytes, format: str) -> Texts:
        """The records of a payload as readable texts; of a binary payload their bytes in hexadecimal. Cuts the payload
        once: keep the result while its records are read. Never raises for what is in the payload."""
        return self._decoder.record_texts(body, format_name(format))

    def record_spans(self, body: bytes, format: str) -> RecordSpans:
        """Where the records of a payload are in its bytes. Cuts the payload once: keep the result while its records are
        read. Never raises for what is in the payload."""
        return self._decoder.record_spans(body, format_name(format))

    def record_faults(self, payload: Payload, watch: range) -> dict[int, tuple[Fault, ...]]:
        """The faults of the records of a payload whose index is in `watch`; those of the whole payload are of record 0.
        Reads the whole payload."""
        if isinstance(self._decoder, SampleDecoder):
            return self._decoder.record_faults(payload.body, payload.format, payload.received_ns)
        return self._decoder.record_faults(payload.body, payload.format, watch)
