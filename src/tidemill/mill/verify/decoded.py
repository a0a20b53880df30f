"""The content of payloads, decoded again under the feed version that they were applied under: how many records each
has, and the points that every record would make if no rule rejected it.

Rules are not applied again: their rejections are in the ledger, and some of them depended on points that are deleted.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import polars as pl

from tidemill.decode.batch import Batch
from tidemill.decode.decoder import DEEPEST, MAX_DEPTH, Decoder
from tidemill.errors import TidemillError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.mill import refused
from tidemill.model.payload import LogEntry
from tidemill.rules.apply import apply_rules
from tidemill.rules.fold_known import KnownTimes
from tidemill.rules.payload_times import TIMES
from tidemill.rules.shape import shape_points
from tidemill.store.client import Store
from tidemill.store.record_times import record_times

RECORD: Final = ["seq", "idx"]
POINTS: Final = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "ordinal": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
    "received_ns": pl.Int64,
}
COUNTS: Final = {"seq": pl.UInt64, "records": pl.UInt64, "end": pl.UInt64}
_NO_RECORDS: Final = pl.DataFrame(schema={"seq": pl.UInt64, "idx": pl.UInt32})
_NO_TIMES: Final = pl.DataFrame(schema={"seq": pl.UInt64, **TIMES})


class DecodedPayloads(msgspec.Struct, frozen=True):
    """`points` (POINTS); `counts` (COUNTS): the records of each payload, and one more than the highest index of one (of
    columns, items without a value are no records); `mute` (`seq`, `idx`): records that cannot make points, whatever the
    rules; `unreadable`: why a payload could not be decoded, by seq; `times` (`seq` and
    `payload_times.TIMES`): of payloads with well-formed records; `unclear` (`seq`, `idx`): records of which nothing
    tells any more at which instant of a fold they are."""

    points: pl.DataFrame
    counts: pl.DataFrame
    mute: pl.DataFrame
    unreadable: dict[int, str]
    times: pl.DataFrame = _NO_TIMES
    unclear: pl.DataFrame = _NO_RECORDS


class VersionedReader:
    """Decodes payloads of every feed version of a catalog; keeps what it compiled. Points of `store` are read
    where they alone tell the instant of a record."""

    def __init__(self, book: FeedBook, store: Store, max_depth: int = MAX_DEPTH) -> None:
        self._book = book
        self._store = store
        self._max_depth = max_depth
        self._compiled: dict[tuple[str, str, int], tuple[Feed, Decoder]] = {}

    def applied(
        self, tenant: str, feed: str, version: int, entries: Sequence[LogEntry], spans: Mapping[int, tuple[int, int]]
    ) -> DecodedPayloads:
        """Applied payloads of one feed version. `spans`: the first and the last instant (ns) that their rows note, by
        offset."""
        try:
            return self._applied(tenant, feed, version, entries, spans)
        except TidemillError as error:
            return _unreadable(entries, error.message)
        except Exception as error:
            if len(entries) == 1:
                return _unreadable(entries, f"{type(error).__name__}: {error}")
        return joined_payloads([self.applied(tenant, feed, version, [entry], spans) for entry in entries])

    def refused(self, tenant: str, feed: str, version: int, entries: Sequence[LogEntry]) -> pl.DataFrame:
        """COUNTS of payloads that were refused at intake: one where the faults name no records of it."""
        held = dict.fromkeys((entry.seq for entry in entries), 1)
        ends: dict[int, int] = {}
        try:
            compiled, decoder = self._of(tenant, feed, version)
        except TidemillError:
            return _counts(held)
        if compiled.shape.kind == "samples":
            return _counts(held)
        named = {entry.seq: refused.group_faults_by_record(entry.payload.faults, compiled.input) for entry in entries}
        several = [entry for entry in entries if named[entry.seq] and entry.payload.format in compiled.input.formats]
        if several:
            for seq, records, end in _with_ends(decoder.decode_batch(several)).iter_rows():
                ends[seq] = max(end, max(named[seq] or {0: []}) + 1)
                held[seq] = records if compiled.input.columns is not None else ends[seq]
        return _counts(held, ends)

    def _applied(
        self, tenant: str, feed: str, version: int, entries: Sequence[LogEntry], spans: Mapping[int, tuple[int, int]]
    ) -> DecodedPayloads:
        compiled, decoder = self._of(tenant, feed, version)
        batch = decoder.decode_batch(entries)
        known = KnownTimes(tenant, spans, record_times(self._store, tenant))
        checked = apply_rules(compiled, batch, known=known)
        shaped = shape_points(compiled, tenant, checked, batch)
        # Of an unclear fold may be nothing left that tells its instant.
        is_unclear = pl.col("reasons").list.contains("fold_unclear")
        return DecodedPayloads(
            points=shaped.points.select(pl.col(name).cast(kind) for name, kind in POINTS.items()),
            counts=_with_ends(batch),
            mute=shaped.rejections.filter(~is_unclear).select(RECORD),
            unclear=shaped.rejections.filter(is_unclear).select(RECORD),
            unreadable={},
            times=checked.times,
        )

    def _of(self, tenant: str, feed: str, version: int) -> tuple[Feed, Decoder]:
        key = (tenant, feed, version)
        if key not in self._compiled:
            known = self._book.version(tenant, feed, version)
            depth = DEEPEST if known.input.on_fault == "refuse" else self._max_depth
            self._compiled[key] = msgspec.structs.replace(known, rules=()), Decoder(known, max_depth=depth)
        return self._compiled[key]


def joined_payloads(parts: Sequence[DecodedPayloads]) -> DecodedPayloads:
    """Parts as one."""
    return DecodedPayloads(
        points=pl.concat([pl.DataFrame(schema=POINTS), *(part.points for part in parts)]),
        counts=pl.concat([pl.DataFrame(schema=COUNTS), *(part.counts for part in parts)]),
        mute=pl.concat([_NO_RECORDS, *(part.mute for part in parts)]),
        unreadable={seq: why for part in parts for seq, why in part.unreadable.items()},
        times=pl.concat([_NO_TIMES, *(part.times for part in parts)]),
        unclear=pl.concat([_NO_RECORDS, *(part.unclear for part in parts)]),
    )


def _unreadable(entries: Sequence[LogEntry], why: str) -> DecodedPayloads:
    return msgspec.structs.replace(joined_payloads([]), unreadable={entry.seq: why for entry in entries})


def _counts(held: dict[int, int], ends: dict[int, int] | None = None) -> pl.DataFrame:
    data = {"seq": list(held), "records": list(held.values()), "end": list({**held, **(ends or {})}.values())}
    return pl.DataFrame(data, schema=COUNTS)


def _with_ends(batch: Batch) -> pl.DataFrame:
    """COUNTS of the payloads of a batch."""
    indexes = pl.concat([frame.select("seq", "idx") for frame in (batch.frame, batch.rejections)])
    highest = indexes.group_by("seq").agg(pl.col("idx").max())
    counts = batch.counts.join(highest, on="seq", how="left", maintain_order="left")
    counts = counts.with_columns(end=pl.max_horizontal("records", (pl.col("idx") + 1).fill_null(0)))
    return counts.select(pl.col(name).cast(kind) for name, kind in COUNTS.items())
