"""The decoder of a feed: what intake asks of one payload, and what the mill asks of many.

Built once for each feed version; thread-safe. It decides nothing but the contract of bytes: format, members, types,
ranges, times that can be read. Zones, rules and duplicates are for `rules/`. Three kinds of payload have each a decoder
of their own: JSON records, series of samples, binary records.
"""

from collections.abc import Callable, Sequence
from typing import Final

from tidemill.decode.batch import Batch
from tidemill.decode.json_decoder import JsonDecoder
from tidemill.decode.layout_decoder import LayoutDecoder
from tidemill.decode.sample_decoder import SampleDecoder, SamplesHead
from tidemill.decode.texts import Texts
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.model.payload import LogEntry, Payload

MAX_DEPTH: Final = 16  # of arrays and objects in each other, unless told otherwise
DEEPEST: Final = 128  # what `max_depth` may be; far below where a reader would run out of stack


class Decoder:
    """Checks and decodes payloads of one feed. `turn` is called now and then while records are read one by one: a sign
    of life, as that may take long."""

    def __init__(self, feed: Feed, *, max_depth: int = MAX_DEPTH, turn: Callable[[], None] = lambda: None) -> None:
        self._of: JsonDecoder | SampleDecoder | LayoutDecoder
        if feed.shape.kind == "samples":
            self._of = SampleDecoder(feed.input.formats, max_depth)
        elif feed.input.layout is not None:
            self._of = LayoutDecoder(feed, feed.input.layout)
        else:
            self._of = JsonDecoder(feed, max_depth, turn)

    def check(self, body: bytes, format: str, received_ns: int) -> tuple[Fault, ...]:
        """Every fault of a payload (at most a hundred by name); () when all its records fit the contract."""
        if isinstance(self._of, SampleDecoder):
            return self._of.check(body, format, received_ns).all()
        return self._of.check(body, format)

    def decode(self, payloads: Sequence[LogEntry]) -> Batch:
        """Many payloads of this feed version as one batch. Never raises for what is in them."""
        return self._of.decode(payloads)

    def samples(self, payload: Payload) -> SamplesHead:
        """What a payload of shape `samples` will be: series, count, first and last time. Costs next to nothing right
        after its `check`. Raises ValueError for a payload with faults, and for other shapes."""
        if not isinstance(self._of, SampleDecoder):
            raise ValueError("the feed is not of shape 'samples'")
        return self._of.head(payload)

    def texts(self, body: bytes, format: str) -> Texts:
        """The records of a payload as texts for people; of a binary one their bytes in hexadecimal. Cuts the payload:
        to be kept while records of it are asked for. Never raises for what is in it."""
        return self._of.texts(body, format)
