"""Transforms bytes to points: runs decode, rules and shape for the payloads of one feed version at once. Does no I/O,
except through the `past` that is passed in for the rules of some feeds.

Decoders are built once per feed version and kept, because versions never change.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Protocol

import msgspec
import polars as pl

from tidemill.checks.look_back import PastCheck
from tidemill.decode.decoder import DEEPEST, MAX_DEPTH, Decoder
from tidemill.decode.texts import Texts
from tidemill.errors import FeedDefinitionError, NotFoundError, TidemillError, UnavailableError
from tidemill.feeds.definition import Feed
from tidemill.mill import ledger, refused
from tidemill.mill.status import MillStatus
from tidemill.model.payload import LogEntry, Payload
from tidemill.rules.apply import apply_rules
from tidemill.rules.every_value import every_value
from tidemill.rules.fold_known import KnownTimes
from tidemill.rules.history_lookup import HistoryLookup, NoHistory, Past
from tidemill.rules.payload_marks import MARKS, payload_marks
from tidemill.rules.shape import Shaped, shape_points
from tidemill.rules.time import resolve_stamps, resolve_times
from tidemill.rules.zones import zone_at

NO_PAST = NoHistory()
_KEEP = 1_000


class VersionBook(Protocol):
    """Versions of feeds; a FeedBook is one."""

    def version(self, tenant: str, name: str, version: int) -> Feed:
        """A version of a feed. Raises NotFoundError and FeedDefinitionError."""
        ...


class TransformedBatch(msgspec.Struct, frozen=True):
    """Payloads of one feed version after its rules. `counts`: `seq`, `records`, `payload_times.TIMES` and
    `payload_marks.MARKS`; `rejections`: REJECTED."""

    feed: Feed
    points: pl.DataFrame
    series: pl.DataFrame
    rejections: pl.DataFrame
    counts: pl.DataFrame


def load_time_zones() -> None:
    """Load the map of time zones (0.1 to 0.4 s), so that the first batch does not wait for it."""
    zone_at(0.0, 0.0)


class TransformPipeline:
    """The stages before the store, for every feed version of every tenant.

    `max_depth` of JSON applies to feeds whose records are checked here. Payloads that intake has checked and accepted
    are not checked again, because the setting may have been another one then.
    """

    def __init__(self, book: VersionBook, status: MillStatus, max_depth: int = MAX_DEPTH) -> None:
        self._book = book
        self._status = status
        self._max_depth = max_depth
        self._decoders: dict[tuple[str, str, int], Decoder] = {}

    def transform(
        self, tenant: str, name: str, version: int, entries: Sequence[LogEntry], past: Past = NO_PAST
    ) -> TransformedBatch:
        """Decode, check and shape entries, which are in the order of the log. `past` is read as of the first entry, and
        only where `looks_back`. Raises UnavailableError while the feed version is missing or cannot be read: payloads
        were accepted under it, so the catalog is at fault and not the payloads; and what `past` raises."""
        feed = self._feed(tenant, name, version)
        with self._status.stage("decode"):
            batch = self._decoder(tenant, name, version).decode_batch(entries)
        with self._status.stage("rules"):
            checked = apply_rules(feed, batch, HistoryLookup(tenant, entries[0].seq, past, self._status.turn))
        with self._status.stage("shape"):
            shaped = shape_points(feed, tenant, checked, batch)
        rejections = ledger.concat_rejections([shaped.rejections])
        counts = batch.counts.join(checked.times, on="seq", how="left", maintain_order="left")
        marks = payload_marks(feed, checked.frame)
        counts = counts.join(marks, on="seq", how="left", maintain_order="left").with_columns(
            pl.col(list(MARKS)).fill_null(0)
        )
        return TransformedBatch(feed, shaped.points, shaped.series, rejections, counts)

    def every_value(self, name: str, version: int, entries: Sequence[LogEntry], known: KnownTimes) -> Shaped:
        """Every value of the well-formed records of entries, nulls included, whatever the rules say of them. Raises as
        `transform`."""
        batch = self._decoder(known.tenant, name, version).decode_batch(entries)
        return every_value(self._feed(known.tenant, name, version), batch, known)

    def looks_back(self, tenant: str, name: str, version: int) -> bool:
        """Whether the rules or the times of a feed version need the past. Then its entries must not be checked in one
        batch with those of another version, and only after everything before them is applied. Raises as
        `transform`."""
        feed = self._feed(tenant, name, version)
        return feed.time.fold == "by_order" or any(isinstance(rule.compiled(), PastCheck) for rule in feed.rules)

    def texts(self, entries: Mapping[int, LogEntry], records: pl.DataFrame) -> list[str]:
        """The texts of records (`seq`, `idx`) of entries for the ledger, in their order. A payload is cut once for all
        of its records that follow each other."""
        return list(self.each_text(entries, records))

    def each_text(self, entries: Mapping[int, LogEntry], records: pl.DataFrame) -> Iterator[str]:
        """As `texts`, one text at a time: only the cuts of one payload are in memory."""
        for seq, some in groupby(records.select("seq", "idx").iter_rows(), key=itemgetter(0)):
            texts = self._texts(entries[seq].payload)
            for _, index in some:
                yield texts.text(index)

    def _texts(self, payload: Payload) -> Texts:
        try:
            decoder = self._decoder(payload.tenant, payload.feed, payload.feed_version)
            return decoder.record_texts(payload.body, payload.format)
        except Exception:  # the text is only shown to people; the reasons say what is wrong with the bytes
            return Texts(payload.body)

    def refuses(self, entry: LogEntry) -> bool:
        """Whether intake would refuse this payload under the feed version that it names now. Raises as `transform`."""
        payload = entry.payload
        feed = self._feed(payload.tenant, payload.feed, payload.feed_version)
        if feed.input.on_fault != "refuse":
            return False
        decoder = self._decoder(payload.tenant, payload.feed, payload.feed_version)
        return bool(decoder.check_payload(payload.body, payload.format, payload.received_ns))

    def refused(self, entry: LogEntry) -> pl.DataFrame:
        """The rejections (REJECTED) of a payload that was refused at intake: one for each record that it held."""
        payload = entry.payload
        try:
            feed = self._book.version(payload.tenant, payload.feed, payload.feed_version)
        except TidemillError:
            return refused.reject_whole_payload(entry)
        named = refused.group_faults_by_record(payload.faults, feed.input)
        if feed.shape.kind == "samples" or payload.format not in feed.input.formats:
            return refused.reject_whole_payload(entry)
        batch = self._decoder(payload.tenant, payload.feed, payload.feed_version).decode_batch([entry])
        times = resolve_stamps(feed, batch.stamps)
        if named is None:
            return refused.with_times(refused.reject_whole_payload(entry), times)
        resolved = resolve_times(feed, batch.frame).select(times.columns)
        return refused.with_times(refused.reject_each_record(entry, named, batch), pl.concat([times, resolved]))

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
