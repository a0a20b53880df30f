"""Bytes to points: runs decode, rules and shape for the payloads of one feed version in one go. No I/O, but for
the past that the rules of some feeds ask for: it is given, and knows where to look.

Decoders are built once per feed version and kept; versions never change.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import msgspec
import polars as pl

from tidemill.checks.look_back import PastCheck
from tidemill.decode.decoder import DEEPEST, MAX_DEPTH, Decoder
from tidemill.decode.texts import Texts
from tidemill.errors import FeedDefinitionError, NotFoundError, TidemillError, UnavailableError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.mill import ledger, refused
from tidemill.mill.status import MillStatus
from tidemill.model.payload import LogEntry, Payload
from tidemill.rules.apply import apply_rules
from tidemill.rules.history_lookup import HistoryLookup, NoHistory, Past
from tidemill.rules.shape import shape
from tidemill.rules.time import instants, resolve_times
from tidemill.rules.zones import zone_at

NO_PAST = NoHistory()
_KEEP = 1_000


class TransformedBatch(msgspec.Struct, frozen=True):
    """Payloads of one feed version after its rules. `counts`: `seq`, `records`; `rejections`: REJECTED."""

    feed: Feed
    points: pl.DataFrame
    series: pl.DataFrame
    rejections: pl.DataFrame
    counts: pl.DataFrame


def warm() -> None:
    """Load what the first batch would wait for: the map of time zones (0.1 to 0.4 s)."""
    zone_at(0.0, 0.0)


class TransformPipeline:
    """The stages before the store, for every feed version of every tenant.

    `max_depth` of JSON holds for feeds whose records are judged here. What intake judged and took is not judged again:
    the setting may have been another one then.
    """

    def __init__(self, book: FeedBook, status: MillStatus, max_depth: int = MAX_DEPTH) -> None:
        self._book = book
        self._status = status
        self._max_depth = max_depth
        self._decoders: dict[tuple[str, str, int], Decoder] = {}

    def run(
        self, tenant: str, name: str, version: int, entries: Sequence[LogEntry], past: Past = NO_PAST
    ) -> TransformedBatch:
        """Decode, check and shape entries, which are in the order of the log. Raises UnavailableError while there is no
        such feed version, or none that can be read: payloads were taken for it, so it is the catalog's fault and not
        theirs; and what `past` raises. It is asked as of the first entry, and only where `looks_back`."""
        feed = self._feed(tenant, name, version)
        with self._status.stage("decode"):
            batch = self._decoder(tenant, name, version).decode(entries)
        with self._status.stage("rules"):
            checked = apply_rules(feed, batch, HistoryLookup(tenant, entries[0].seq, past, self._status.turn))
        with self._status.stage("shape"):
            shaped = shape(feed, tenant, checked, batch)
        rejections = ledger.concat_rejections([shaped.rejections])
        return TransformedBatch(feed, shaped.points, shaped.series, rejections, batch.counts)

    def looks_back(self, tenant: str, name: str, version: int) -> bool:
        """Whether the rules of a feed version need the past. Then entries of it must not be judged together with those
        of another version, and only after everything before them is applied. Raises as `run`."""
        return any(isinstance(rule.compiled(), PastCheck) for rule in self._feed(tenant, name, version).rules)

    def texts(self, entries: Mapping[int, LogEntry], records: pl.DataFrame) -> list[str]:
        """Records (`seq`, `idx`) of entries as the ledger keeps them, in their order. A payload is cut once for all of
        its records that stand together."""
        return list(self.each_text(entries, records))

    def each_text(self, entries: Mapping[int, LogEntry], records: pl.DataFrame) -> Iterator[str]:
        """As `texts`, one text at a time: only one payload's cuts are held."""
        for seq, some in groupby(records.select("seq", "idx").iter_rows(), key=itemgetter(0)):
            texts = self._texts(entries[seq].payload)
            for _, index in some:
                yield texts.text(index)

    def _texts(self, payload: Payload) -> Texts:
        try:
            decoder = self._decoder(payload.tenant, payload.feed, payload.feed_version)
            return decoder.texts(payload.body, payload.format)
        except Exception:  # a text for people; what is wrong with the bytes is in the reasons
            return Texts(payload.body)

    def refuses(self, entry: LogEntry) -> bool:
        """Whether intake would refuse this payload under the feed version that it names now."""
        payload = entry.payload
        feed = self._feed(payload.tenant, payload.feed, payload.feed_version)
        if feed.input.on_fault != "refuse":
            return False
        decoder = self._decoder(payload.tenant, payload.feed, payload.feed_version)
        return bool(decoder.check(payload.body, payload.format, payload.received_ns))

    def refused(self, entry: LogEntry) -> pl.DataFrame:
        """The rejections (REJECTED) of a payload that was refused at intake: one for each record that it held."""
        payload = entry.payload
        try:
            feed = self._book.version(payload.tenant, payload.feed, payload.feed_version)
        except TidemillError:
            return refused.whole(entry)
        named = refused.by_record(payload.faults, feed.input.records)
        if feed.shape.kind == "samples" or payload.format not in feed.input.formats:
            return refused.whole(entry)
        batch = self._decoder(payload.tenant, payload.feed, payload.feed_version).decode([entry])
        times = instants(feed, batch.stamps)
        if named is None:
            return refused.timed(refused.whole(entry), times)
        good = resolve_times(feed, batch.frame).select(times.columns)
        return refused.timed(refused.each(entry, named, batch), pl.concat([times, good]))

    def _feed(self, tenant: str, name: str, version: int) -> Feed:
        try:
            return self._book.version(tenant, name, version)
        except (NotFoundError, FeedDefinitionError) as error:
            raise UnavailableError(
                f"payloads wait for version {version} of feed '{name}' of tenant '{tenant}': {error.message}. Put the "
                f"catalog back that has it, or apply definitions of the feed until it has this version"
            ) from error

    def _decoder(self, tenant: str, name: str, version: int) -> Decoder:
        key = (tenant, name, version)
        decoder = self._decoders.get(key)
        if decoder is None:
            if len(self._decoders) >= _KEEP:
                self._decoders.clear()
            feed = self._book.version(tenant, name, version)
            depth = DEEPEST if feed.input.on_fault == "refuse" else self._max_depth
            decoder = self._decoders[key] = Decoder(feed, max_depth=depth, turn=self._status.turn)
        return decoder
