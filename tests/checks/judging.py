"""Asks a check about some records, without a feed around it."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tidemill.checks.check import FeedColumns
from tidemill.checks.trial import evaluate_check, try_check

COLUMNS = FeedColumns(fields=("v", "w", "flow-rate"), tags=("site", "user_id"), attributes=("quality",), labels=True)
SCHEMA: Mapping[str, Any] = {
    "time": pl.Int64,
    "received_ns": pl.Int64,
    "f.v": pl.Float64,
    "f.w": pl.Float64,
    "f.flow-rate": pl.Float64,
    "t.site": pl.String,
    "t.user_id": pl.String,
    "a.quality": pl.String,
    "labels": pl.List(pl.String),
    "seq": pl.UInt64,
    "idx": pl.UInt32,
}


def broken(name: str, options: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> list[bool | None]:
    """Which records break the check; what a record does not name is null."""
    check, faults = try_check(name, options, COLUMNS)
    assert not faults
    assert check is not None
    assert not evaluate_check(check, COLUMNS)
    rows = [{"time": 0, "received_ns": 0, "seq": 1, "idx": n, **record} for n, record in enumerate(records)]
    frame = pl.DataFrame(rows, schema=SCHEMA)
    found: list[bool | None] = frame.select(check.broken().alias("broken"))["broken"].to_list()
    return found


def by_text(name: str, options: Mapping[str, Any], texts: Sequence[str | None]) -> list[bool | None]:
    """The same for texts, which a tag, an attribute and a label must all be judged alike for."""
    as_tag = broken(name, {"tag": "site", **options}, [{"t.site": text} for text in texts])
    as_attribute = broken(name, {"attribute": "quality", **options}, [{"a.quality": text} for text in texts])
    assert as_attribute == as_tag
    labels = broken(name, {"labels": True, **options}, [{"labels": None if text is None else [text]} for text in texts])
    assert labels == as_tag
    return as_tag


def faults(name: str, options: Mapping[str, Any], columns: FeedColumns = COLUMNS) -> list[tuple[str | None, str]]:
    """What is wrong with options."""
    return try_check(name, options, columns)[1]
