"""Makes rows of tables `payloads` and `rejections` from outcomes and rejections. Pure: frames in, frames out.

Of every payload applied: accepted + rejected = its records. A record is rejected once, with all its reasons.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.decode.texts import CUT_OFF, MAX_RECORD_TEXT
from tidemill.model.payload import LogEntry
from tidemill.rules.payload_marks import MARKS
from tidemill.rules.payload_times import TIMES
from tidemill.rules.shape import version_of
from tidemill.store.tables import table

NONE: Final[Mapping[str, str]] = MappingProxyType({})

# Rejected records, whatever rejected them. `time`, `series`, `winner_*`: null where there is none.
REJECTED: dict[str, Any] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "time": pl.Int64,
    "reasons": pl.List(pl.String),
    "detail": pl.String,
    "series": pl.List(pl.UInt64),
    "winner_seq": pl.UInt64,
    "winner_idx": pl.UInt32,
}
_NOTED: Final[dict[str, Any]] = {**TIMES, **MARKS}
# Outcomes of payloads: columns of table `payloads`.
OUTCOMES: dict[str, Any] = {
    name: table("payloads").columns[name] for name in ("seq", "state", "accepted", "rejected", "reasons", *_NOTED)
}
_BEGINNING = f"the record is longer than the {MAX_RECORD_TEXT} bytes of it that are kept here"
_NOT_CUT = "the payload cannot be cut into records: its bytes are kept with its receipt"
_DETAIL = pl.concat_str(
    pl.when(pl.col("detail") != "").then("detail"),
    pl.when((pl.col("record").str.len_bytes() > MAX_RECORD_TEXT - 8) & pl.col("record").str.ends_with(CUT_OFF)).then(
        pl.lit(_BEGINNING)
    ),
    pl.when((pl.col("record") == "") & (pl.col("idx") > 0)).then(pl.lit(_NOT_CUT)),
    separator="; ",
    ignore_nulls=True,
)
DUPLICATE = "duplicate: another record of the same series and time was submitted first"
LOCAL_DUPLICATE = "duplicate: another record of the same series was submitted first with the same time or local time"


def concat_rejections(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Frames of rejections of any origin as one, with the columns of REJECTED (missing ones null)."""
    whole = [
        frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in REJECTED.items()
        )
        for frame in frames
        if frame.height
    ]
    return pl.concat(whole).sort("seq", "idx") if whole else pl.DataFrame(schema=REJECTED)


def payload_outcomes(counts: pl.DataFrame, rejections: pl.DataFrame, state: str) -> pl.DataFrame:
    """OUTCOMES of payloads, from `counts` (`seq`, `records`, and TIMES and MARKS where known) and their rejections
    (REJECTED)."""
    known = [name if name in counts.columns else pl.lit(None, kind).alias(name) for name, kind in _NOTED.items()]
    if rejections.is_empty():
        return counts.select(
            "seq",
            pl.lit(state).alias("state"),
            pl.col("records").cast(pl.UInt32).alias("accepted"),
            pl.lit(0, pl.UInt32).alias("rejected"),
            pl.lit([], OUTCOMES["reasons"]).alias("reasons"),
            *known,
        )
    by_seq = rejections.group_by("seq").agg(pl.len().cast(pl.UInt32).alias("rejected"))
    by_reason = (
        rejections.select("seq", "reasons")
        .explode("reasons")
        .group_by("seq", "reasons")
        .agg(pl.len().cast(pl.UInt32).alias("value"))
        .sort("seq", "reasons")
        .group_by("seq")
        .agg(pl.struct(pl.col("reasons").alias("key"), "value").alias("reasons"))
    )
    n = pl.col("rejected").fill_null(0)
    return (
        counts.join(by_seq, on="seq", how="left")
        .join(by_reason, on="seq", how="left")
        .select(
            "seq",
            pl.lit(state).alias("state"),
            (pl.col("records") - n).cast(pl.UInt32).alias("accepted"),
            n.alias("rejected"),
            pl.col("reasons").cast(OUTCOMES["reasons"]).fill_null([]),
            *known,
        )
    )


def outcomes_without_points(rejections: pl.DataFrame, state: str) -> pl.DataFrame:
    """OUTCOMES of payloads that were not applied: as many records as were rejected, none accepted."""
    if rejections.is_empty():
        return pl.DataFrame(schema=OUTCOMES)
    return payload_outcomes(rejections.group_by("seq").agg(pl.len().alias("records")), rejections, state)


def poison_rejection(entry: LogEntry, why: str) -> pl.DataFrame:
    """The rejection of a payload that cannot be applied, or whose bytes are not what was sent."""
    reason = "damaged" if entry.damage else "poison"
    row = {"seq": [entry.seq], "idx": [0], "reasons": [[reason]], "detail": [why[:4096]]}
    return concat_rejections([pl.DataFrame(row)])


def payload_rows(
    entries: Sequence[LogEntry], outcomes: pl.DataFrame, version: int, replays: Mapping[str, str] = NONE
) -> pl.DataFrame:
    """Rows of table `payloads`, the bytes verbatim; `outcomes` (OUTCOMES) has every entry. `replays`: by receipt, the
    replay that applied a payload last."""
    payloads = [entry.payload for entry in entries]
    rows = pl.DataFrame(
        {
            "tenant": [p.tenant for p in payloads],
            "receipt": [p.receipt for p in payloads],
            "seq": pl.Series([entry.seq for entry in entries], dtype=pl.UInt64),
            "feed": [p.feed for p in payloads],
            "feed_version": [p.feed_version for p in payloads],
            "received_at": pl.Series([p.received_ns for p in payloads], dtype=pl.Int64),
            "format": [p.format for p in payloads],
            "bytes": [len(p.body) for p in payloads],
            "sha256": pl.Series([p.sha256 for p in payloads], dtype=pl.Binary),
            "faults": [msgspec.json.encode(p.faults).decode() if p.faults else "" for p in payloads],
            "body": pl.Series([p.body for p in payloads], dtype=pl.Binary),
            "replay": [replays.get(p.receipt, "") for p in payloads],
        }
    )
    return table("payloads").rows(rows.join(outcomes, on="seq", how="left", maintain_order="left"), version=version)


def payload_origins(entries: Iterable[LogEntry]) -> pl.DataFrame:
    """The payloads of rejections: `seq`, `receipt`, `received_ns`, `rules_version` of each."""
    rows = [(e.seq, e.payload.receipt, e.payload.received_ns, e.payload.feed_version) for e in entries]
    schema = {"seq": pl.UInt64, "receipt": pl.String, "received_ns": pl.Int64, "rules_version": pl.UInt32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def rejection_rows(
    rejections: pl.DataFrame, tenant: str, feed: str, payloads: pl.DataFrame, records: Sequence[str]
) -> pl.DataFrame:
    """Rows of table `rejections` from REJECTED, the `payload_origins` of its payloads, and the text of each record.
    `detail` says so where a text is only the beginning of its record, or is empty because the payload could not be
    cut."""
    rows = rejections.with_columns(pl.Series("record", records, dtype=pl.String))
    return table("rejections").rows(
        rows.join(payloads, on="seq", how="left", maintain_order="left"),
        tenant=tenant,
        feed=feed,
        received_at=pl.col("received_ns"),
        detail=_DETAIL,
        series=pl.col("series").fill_null([]),
        winner_seq=pl.col("winner_seq").fill_null(0),
        winner_idx=pl.col("winner_idx").fill_null(0),
        recovered_by="",
        version=(-version_of("winner_seq", "winner_idx")).fill_null(0),
    )
