"""The log against the store: what the mill has passed has its row, and is the same; what is beyond is waiting."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from tidemill.log.high_water import HighWaterMark
from tidemill.log.reader import SqliteLogReader
from tidemill.mill.position import Progress
from tidemill.mill.verify import kinds
from tidemill.mill.verify.report import Findings
from tidemill.model import deletion
from tidemill.store.client import Store

_ENTRIES: Final = 20_000  # at a time
_BYTES: Final = 32 << 20
_SELECT: Final = (
    "SELECT seq, receipt, tenant, feed, format, sha256, body FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
)


class Passed(msgspec.Struct):
    """What the log held: `entries`, and of these `waiting`: beyond the mill's place, and not in the store."""

    entries: int = 0
    waiting: int = 0


class LogCheck:
    """Checks one log. `position`: what of it the mill has applied."""

    def __init__(self, log: SqliteLogReader, store: Store, position: Progress) -> None:
        self._log = log
        self._store = store
        self._position = position

    def ends(self, folder: Path, highest: int, findings: Findings) -> None:
        """Whether the log reaches what was durable in it (the mark beside it), and what was applied (`highest`)."""
        last, mark = self._log.last_seq(), high_water(folder)
        for what, seq in (("its high-water mark", mark), ("the highest payload applied", self._position.highest),
                          ("the highest payload in the store", highest)):  # fmt: skip
            if last < seq:
                findings.add(
                    kinds.LogShort,
                    tenant="",
                    what=what,
                    expected=f"an end at {seq} or beyond",
                    found=f"an end at {last}",
                )

    def walk(
        self,
        tenants: Collection[str] | None,
        feed: str,
        after: int,
        findings: Findings,
        tell: Callable[[int, str], None] = lambda *_: None,
    ) -> Passed:
        """Every entry after a place that is of these tenants (null: of all), and of this feed if one is named."""
        passed = Passed()
        for page in self._pages(after):
            tell(0, "the log")
            mine = [row for row in page if (tenants is None or row[2] in tenants) and (not feed or row[3] == feed)]
            passed.entries += len(mine)
            for tenant in sorted({row[2] for row in mine}):
                rows = [row for row in mine if row[2] == tenant]
                missing = self._compare(tenant, rows, findings)
                passed.waiting += sum(not self._position.applied(tenant, row[0]) for row in missing)
        return passed

    def _compare(self, tenant: str, rows: list[tuple[Any, ...]], findings: Findings) -> list[tuple[Any, ...]]:
        """The entries without a row in the store; notes what is amiss of them and of the others."""
        found = self._store.frame("verify_places", tenant=tenant, low=rows[0][0], high=rows[-1][0])
        stored = {(row["seq"], row["receipt"]): row for row in found.iter_rows(named=True)}
        at = dict(stored)
        missing = []
        for entry in rows:
            seq, receipt, _, feed, form, sha256, body = entry
            about: dict[str, Any] = {"tenant": tenant, "feed": feed, "seq": seq, "receipt": receipt}
            row = stored.get((seq, receipt))
            if form != deletion.ERASED and (digest := hashlib.sha256(body).hexdigest()) != sha256.hex():
                findings.add(kinds.LogDamaged, what="sha256 of an entry", expected=sha256.hex(), found=digest, **about)
            if row is None:
                missing.append(entry)
                if seq in at:
                    findings.add(kinds.LogDiffers, what="receipt", expected=receipt, found=at[seq], **about)
                elif self._position.applied(tenant, seq):
                    findings.add(
                        kinds.LogUnapplied, what="payload", expected="a row in the store", found="none", **about
                    )
                continue
            for what, there, here in (("feed", feed, row["feed"]), ("sha256", sha256.hex(), row["sha256"].lower())):
                if there != here:
                    findings.add(kinds.LogDiffers, what=what, expected=there, found=here, **about)
        return missing

    def _pages(self, after: int) -> Iterator[list[tuple[Any, ...]]]:
        while page := self._log.query(lambda connection, after=after: _page(connection, after)):  # type: ignore[misc]
            after = page[-1][0]
            yield page


def high_water(folder: Path) -> int:
    """The mark in a log's folder; 0 if there is none. Raises LogCorruptError."""
    path = folder / "log.high-water"
    if not path.exists():
        return 0
    mark = HighWaterMark(path)
    mark.close()
    return mark.value


def _page(connection: apsw.Connection, after: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    cursor = connection.execute(_SELECT, (after, _ENTRIES))
    try:
        for row in cursor:
            rows.append(row)
            size += len(row[-1])
            if size > _BYTES:
                break
    finally:
        cursor.close(True)
    return rows
