"""Checks points: each point of an accepted record is stored with its value, or was replaced, or its absence is
explained by a deletion or by retention."""

from typing import Any, Final

import polars as pl

from tidemill.mill.verify import kinds
from tidemill.mill.verify.decoded import POINTS, RECORD, DecodedPayloads
from tidemill.mill.verify.explain import Explainer
from tidemill.mill.verify.receipt_check import StoredPayloads
from tidemill.mill.verify.report import Findings
from tidemill.model.ids import format_series
from tidemill.model.time import format_instant
from tidemill.model.verification import Totals
from tidemill.store.client import Store

KEY: Final = ["series", "time", "ordinal", "seq", "idx"]
MOMENT: Final = ["series", "time", "seq", "idx"]
_SERIES: Final = 5_000  # bound in one question; for more, the query takes all series


class PointCheck:
    """Checks the points of payloads against one store."""

    def __init__(self, store: Store, explainer: Explainer) -> None:
        self._store = store
        self._explainer = explainer

    def check_points(
        self, stored: StoredPayloads, decoded: DecodedPayloads, findings: Findings
    ) -> tuple[Totals, dict[int, int]]:
        """Check the points of these payloads; returns (sums, how many of the points that each payload makes are
        current)."""
        made = decoded.points
        if made.is_empty():
            return Totals(), {}
        current = self._current(stored, made).rename({"value": "stands"})
        there = made.join(current, on=KEY, how="left", coalesce=True)
        hit = there.filter("here")
        owned = dict(hit.group_by("seq").len().iter_rows())
        rejected = stored.rejected.select(RECORD)
        self._rejected(stored, hit.join(rejected, on=RECORD, how="semi"), findings)
        due = there.join(rejected, on=RECORD, how="anti")
        self._values(stored, due.filter("here"), "stands", findings)
        absent = due.filter(pl.col("here").is_null()).select(*POINTS)
        replaced = self._replaced(stored, absent)
        both = absent.join(replaced.rename({"value": "stands"}), on=MOMENT)
        self._values(stored, both, "stands", findings)
        absent = absent.join(replaced, on=MOMENT, how="anti")
        missing = self._explainer.unexplained(stored.tenant, stored.feed, absent, stored.tombstones)
        self._missing(stored, missing, findings)
        totals = Totals(points=due["here"].count(), replaced=both.height, removed=absent.height - missing.height)
        return totals, owned

    def _current(self, stored: StoredPayloads, made: pl.DataFrame) -> pl.DataFrame:
        points = self._store.frame("verify_points", **_range(stored.tenant, made)).rename({"time_ns": "time"})
        return points.select(*(pl.col(name).cast(POINTS[name]) for name in (*KEY, "value")), pl.lit(True).alias("here"))

    def _replaced(self, stored: StoredPayloads, absent: pl.DataFrame) -> pl.DataFrame:
        if absent.is_empty():
            return absent.select(*MOMENT, "value")
        values = self._store.frame("verify_replaced", **_range(stored.tenant, absent)).rename({"time_ns": "time"})
        return values.select(pl.col(name).cast(POINTS[name]) for name in (*MOMENT, "value"))

    def _rejected(self, stored: StoredPayloads, current: pl.DataFrame, findings: Findings) -> None:
        """Note current points of rejected records, but not those of deleted series: they are in no answer, and wait to
        be purged."""
        alive = self._explainer.alive(stored.tenant, current)
        room = findings.room(kinds.PointRejected)
        for row in alive.head(room).iter_rows(named=True):
            findings.add(
                kinds.PointRejected, what=_what(row), expected="no point: the record is in the ledger",
                observed=row["stands"], **stored.about(row["seq"]),
            )  # fmt: skip
        findings.more(kinds.PointRejected, alive.height - room)

    def _values(self, stored: StoredPayloads, points: pl.DataFrame, column: str, findings: Findings) -> None:
        differ = points.filter(~same_bits(points["value"], points[column]))
        room = findings.room(kinds.PointDiffers)
        for row in differ.head(room).iter_rows(named=True):
            findings.add(
                kinds.PointDiffers, what=_what(row), expected=row["value"], observed=row[column],
                **stored.about(row["seq"]),
            )  # fmt: skip
        findings.more(kinds.PointDiffers, differ.height - room)

    def _missing(self, stored: StoredPayloads, missing: pl.DataFrame, findings: Findings) -> None:
        room = findings.room(kinds.PointMissing)
        shown = missing.head(room)
        instead = self._instead(stored.tenant, shown)
        for row in shown.iter_rows(named=True):
            other = instead.get((row["series"], row["time"], row["ordinal"]))
            observed = "nothing" if other is None else f"a point of payload {other}"
            findings.add(
                kinds.PointMissing,
                what=_what(row),
                expected=row["value"],
                observed=observed,
                **stored.about(row["seq"]),
            )
        findings.more(kinds.PointMissing, missing.height - room)

    def _instead(self, tenant: str, missing: pl.DataFrame) -> dict[tuple[int, int, int], int]:
        """By key of the missing points: the payload of the current point."""
        if missing.is_empty():
            return {}
        rows = self._store.frame("mill_point_versions", tenant=tenant, series=missing["series"], times=missing["time"])
        ordered = rows.sort("version").select("series", "time_ns", "ordinal", "seq")
        return {(series, time, ordinal): seq for series, time, ordinal, seq in ordered.iter_rows()}


def same_bits(left: pl.Series, right: pl.Series) -> pl.Series:
    """Whether two columns of f64 are the same, to the bit; null is the same as null."""
    bits = [column.fill_null(0.0).to_numpy().view("uint64") for column in (left, right)]
    return (left.is_null() == right.is_null()) & pl.Series(bits[0] == bits[1], dtype=pl.Boolean)


def _range(tenant: str, points: pl.DataFrame) -> dict[str, Any]:
    series = points["series"].unique()
    every = len(series) > _SERIES
    return {
        "tenant": tenant,
        "every": every,
        "series": [] if every else series,
        "first": points["time"].min(),
        "last": points["time"].max(),
        "low": points["seq"].min(),
        "high": points["seq"].max(),
    }


def _what(row: dict[str, Any]) -> str:
    return f"record {row['idx']}, series {format_series(row['series'])} at {format_instant(row['time'])}"
