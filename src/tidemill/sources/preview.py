"""Shows what a feed makes of an answer, and stores nothing: decode, rules and shape, without earlier points."""

from typing import Any

import msgspec
import polars as pl

from tidemill.checks.look_back import PastCheck
from tidemill.decode.decoder import MAX_DEPTH, Decoder
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.feeds.formats import JSON_FORMATS
from tidemill.model.payload import LogEntry, Payload
from tidemill.model.time import format_instant
from tidemill.rules.apply import apply_rules
from tidemill.rules.shape import shape_points
from tidemill.sources.answers import answer_format, judge_answer
from tidemill.sources.source_spec import expected_answer


class PreviewRow(msgspec.Struct, frozen=True):
    """A record that passed the rules: `time` RFC 3339 UTC, `marks` the reasons of rules that flagged it."""

    index: int
    time: str
    tags: dict[str, str]
    values: dict[str, float | None]
    marks: list[str]


class RejectedRecord(msgspec.Struct, frozen=True):
    """A record that was rejected, with its text."""

    index: int
    time: str | None
    reasons: list[str]
    detail: str
    record: str


class Preview(msgspec.Struct, frozen=True):
    """The first `rows` and `rejections` of an answer, and counts of all of it. `decoded`: records that fit the
    contract, whatever the rules said. `same`: points that share series and time with another point. `refusal`: why the
    feed would refuse the payload as a whole. `looks_back`: some rules need earlier points, and were judged by this
    answer alone."""

    format: str
    records: int
    decoded: int
    accepted: int
    rejected: int
    series: int
    points: int
    same: int
    rows: list[PreviewRow]
    rejections: list[RejectedRecord]
    refusal: tuple[Fault, ...] = ()
    looks_back: bool = False


def preview_answer(feed: Feed, body: bytes, content_type: str, now_ns: int, limit: int) -> Preview | None:
    """The preview of an answer received at `now_ns`, with at most `limit` rows and rejections; None if the answer is in
    none of the feed's formats."""
    form = _format(feed, body, content_type)
    if form is None:
        return None
    decoder = Decoder(feed)
    payload = Payload("", "default", feed.name, feed.version, now_ns, form, body, b"")
    batch = decoder.decode_batch([LogEntry(1, payload)])
    shaped = shape_points(feed, "default", apply_rules(feed, batch), batch)
    points = shaped.points
    rejected = shaped.rejections.sort("idx")
    texts = decoder.record_texts(body, form)
    instants = ["series", "time"] if feed.duplicates != "keep" else ["series", "time", "ordinal"]
    return Preview(
        format=form,
        records=int(batch.counts["records"].sum()),
        decoded=batch.frame.height,
        accepted=int(batch.counts["records"].sum()) - rejected.height,
        rejected=rejected.height,
        series=shaped.series.height,
        points=points.height,
        same=points.height - points.select(instants).n_unique() if points.height else 0,
        rows=_rows(points, shaped.series, limit),
        rejections=[_rejected_record(row, texts.text(row["idx"])) for row in rejected.head(limit).to_dicts()],
        refusal=decoder.check_payload(body, form, now_ns) if feed.input.on_fault == "refuse" else (),
        looks_back=any(isinstance(rule.compiled(), PastCheck) for rule in feed.rules),
    )


def _format(feed: Feed, body: bytes, content_type: str) -> str | None:
    form = answer_format(body, content_type, feed.input.formats)
    if form in JSON_FORMATS:
        judged = judge_answer(body, content_type, expected_answer(feed), MAX_DEPTH).content_type
        return None if judged is None else "ndjson" if judged == "application/x-ndjson" else "json"
    return form


def _rows(points: pl.DataFrame, series: pl.DataFrame, limit: int) -> list[PreviewRow]:
    indexes = points["idx"].unique().sort().head(limit)
    shown = points.filter(pl.col("idx").is_in(indexes.implode())).sort("idx", maintain_order=True)
    tags: dict[int, dict[str, str]] = {
        row["series"]: {tag["key"]: tag["value"] for tag in row["tags"]} for row in series.to_dicts()
    }
    rows: dict[tuple[int, int], PreviewRow] = {}
    for point in shown.to_dicts():
        key = point["idx"], point["time"]
        if key not in rows:
            time, marks = format_instant(point["time"]), point["marks"] or []
            rows[key] = PreviewRow(point["idx"], time, tags.get(point["series"], {}), {}, marks)
        rows[key].values[point["field"]] = point["value"]
    return list(rows.values())


def _rejected_record(row: dict[str, Any], record: str) -> RejectedRecord:
    time = None if row["time"] is None else format_instant(row["time"])
    return RejectedRecord(row["idx"], time, row["reasons"], row["detail"], record)
