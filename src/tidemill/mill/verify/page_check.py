"""Checks one stretch of the log: its payloads with their receipts and points, and the rows of other tables that name an
offset in it."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.mill.replay import milled
from tidemill.mill.verify import kinds, receipt_check
from tidemill.mill.verify.decoded import VersionedReader
from tidemill.mill.verify.point_check import PointCheck
from tidemill.mill.verify.receipt_check import StoredPayloads
from tidemill.mill.verify.report import Findings
from tidemill.model.verification import Totals
from tidemill.store.client import Store

_NAMING: Final = (
    (kinds.ReplacedOrphan, "replaced values", "verify_replaced_counts"),
    (kinds.RejectionOrphan, "rejections", "verify_rejection_counts"),
)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """The offsets above `after` up to `upto`, and the payloads (`page`: `seq`, `receipt`, `feed`, `bytes`) at them; of
    one feed, unless `feed` is empty. Payloads and points of feeds in `without` are left out."""

    tenant: str
    feed: str
    page: pl.DataFrame
    after: int
    upto: int
    without: frozenset[str] = frozenset()

    @property
    def checked_payloads(self) -> pl.DataFrame:
        """The payloads to check: those of feeds that are not left out."""
        return self.page.filter(~pl.col("feed").is_in(list(self.without)))


class PageCheck:
    """Checks stretches against one store."""

    def __init__(self, store: Store, reader: VersionedReader, points: PointCheck) -> None:
        self._store = store
        self._reader = reader
        self._points = points

    def check_stretch(self, stretch: Stretch, findings: Findings, on_progress: Callable[[int, str], None]) -> Totals:
        """Check a stretch; returns its sums. `on_progress` is called with how many of its payloads are done."""
        totals, owned, done = Totals(), dict[int, int](), 0
        self._doubled(stretch, findings)
        for rows in _portions(stretch.checked_payloads):
            on_progress(done, "payloads")
            counted, own = self._portion(stretch.tenant, rows, findings)
            totals.add(counted)
            owned |= own
            done += rows.height
        self._points_of(stretch, owned, findings)
        for kind, what, query in _NAMING:
            self._orphans(stretch, kind, what, self._unknown(stretch, query), findings)
        return totals

    def _portion(self, tenant: str, rows: pl.DataFrame, findings: Findings) -> tuple[Totals, dict[int, int]]:
        """(sums, how many points stand of each payload) of payloads of one feed."""
        where: dict[str, Any] = {
            "tenant": tenant,
            "feed": rows["feed"][0],
            "low": rows["seq"][0],
            "high": rows["seq"][-1],
        }
        ledger = self._store.frame("verify_rejections", **where)
        payloads = self._store.frame("verify_payloads", **where)
        tombstones = self._store.frame("verify_tombstones", **where)
        by_seq = {row["seq"]: row for row in payloads.iter_rows(named=True)}
        recovered = int(ledger["recovered"].sum())
        stored = StoredPayloads(
            tenant, where["feed"], by_seq, receipt_check.rejected_records(ledger, tombstones), tombstones, recovered
        )
        entries = receipt_check.entries_of(stored, self._deleted_until(stored), findings)
        decoded = receipt_check.decode_again(self._reader, stored, entries, findings)
        totals = receipt_check.check_receipts(stored, decoded, findings)
        of_points, owned = self._points.check_points(stored, decoded, findings)
        totals.add(of_points)
        return totals, owned

    def _deleted_until(self, stored: StoredPayloads) -> int:
        """The offset of the feed's last deletion; 0 where no payload is deleted."""
        if all(row["state"] != "deleted" for row in stored.rows.values()):
            return 0
        rows = self._store.rows("verify_deletions", tenant=stored.tenant)
        return max((row["seq"] for row in rows if row["feed"] == stored.feed), default=0)

    def _doubled(self, stretch: Stretch, findings: Findings) -> None:
        twice = stretch.page.filter(pl.col("seq").is_duplicated())
        for seq, of in twice.group_by("seq", maintain_order=True).agg("receipt", "feed").rows_by_key("seq").items():
            named, feeds = of[0]
            findings.add(
                kinds.PayloadDoubled, tenant=stretch.tenant, feed=feeds[0], seq=seq, receipt=named[0],
                what="payloads at one place", expected=1, observed=", ".join(named),
            )  # fmt: skip

    def _points_of(self, stretch: Stretch, owned: dict[int, int], findings: Findings) -> None:
        """Note points of a payload beyond those that it makes, and points of a payload that is not there."""
        about = stretch.page.unique("seq").select("seq", "receipt", "feed")
        for query in ("verify_point_counts", "verify_alive_counts"):  # the second costs more, and is rarely needed
            points = self._store.frame(query, **_where(stretch)).sort("seq")
            if all(n <= owned.get(seq, 0) for seq, n in points.iter_rows()):
                return
        for row in points.join(about, on="seq", maintain_order="left").iter_rows(named=True):
            if row["feed"] not in stretch.without and row["n"] > owned.get(row["seq"], 0):
                findings.add(
                    kinds.PointStranger, tenant=stretch.tenant, feed=row["feed"], seq=row["seq"],
                    receipt=row["receipt"], what="points that stand", expected=owned.get(row["seq"], 0),
                    observed=row["n"],
                )  # fmt: skip
        unknown = points.join(about, on="seq", how="anti", maintain_order="left")
        self._orphans(stretch, kinds.PointOrphan, "points", unknown, findings)

    def _unknown(self, stretch: Stretch, query: str) -> pl.DataFrame:
        """What a query counts (`seq`, `n`, perhaps `feed`) of payloads that are not there."""
        counted = self._store.frame(query, **_where(stretch))
        keys = [name for name in ("seq", "feed") if name in counted.columns]
        return counted.join(stretch.page, on=keys, how="anti").sort("seq")

    def _orphans(
        self, stretch: Stretch, kind: type[kinds.FindingKind], what: str, rows: pl.DataFrame, findings: Findings
    ) -> None:
        for seq, n in rows.select("seq", "n").iter_rows():
            findings.add(
                kind, tenant=stretch.tenant, feed=stretch.feed, seq=seq, what=what, expected="a payload at this place",
                observed=f"none, and {n} that name it",
            )  # fmt: skip


def _where(stretch: Stretch) -> dict[str, Any]:
    return {"tenant": stretch.tenant, "feed": stretch.feed, "after": stretch.after, "upto": stretch.upto}


def _portions(page: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The payloads of one feed, so many at a time as are read together."""
    if page.is_empty():
        return
    for of_feed in page.unique("seq", maintain_order=True).partition_by("feed", maintain_order=True):
        yield from milled.cut_into_portions(of_feed).partition_by("portion", maintain_order=True, include_key=False)
