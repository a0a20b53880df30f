"""The log against the store: what the mill has passed has its row, and is the same; what is beyond is waiting."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tidemill.errors import LogCorruptError, LogUnavailableError
from tidemill.log.entries import Checked
from tidemill.log.high_water import read_mark
from tidemill.log.reader import SqliteLogReader
from tidemill.mill.position import Progress
from tidemill.mill.verify import kinds
from tidemill.mill.verify.report import Findings
from tidemill.store.client import Store

_ENTRIES: Final = 20_000  # at a time
_BYTES: Final = 32 << 20


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
        mark = self._mark(folder, findings)
        last = self._log.last_seq()  # after everything that it is held against: commits go on meanwhile
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

    def _mark(self, folder: Path, findings: Findings) -> int:
        path = folder / "log.high-water"
        try:
            seq, whole = read_mark(path)
        except LogCorruptError as error:
            seq, whole = 0, error.message
        if whole:
            findings.add(kinds.LogDamaged, tenant="", what="high-water mark", expected="a mark", found=whole)
        return seq

    def files(self, findings: Findings) -> None:
        """Whether SQLite finds the file's structure whole."""
        try:
            faults = self._log.integrity()
        except LogUnavailableError as error:
            faults = [error.message]
        for fault in faults:
            findings.add(kinds.LogDamaged, tenant="", what="structure of log.sqlite", expected="ok", found=fault)

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
            mine = [
                one.row
                for one in page
                if one.head and (tenants is None or one.row[2] in tenants) and (not feed or one.row[3] == feed)
            ]
            passed.entries += len(mine)
            for tenant in sorted({row[2] for row in mine}):
                rows = [row for row in mine if row[2] == tenant]
                missing = self._compare(tenant, rows, findings)
                passed.waiting += sum(not self._position.applied(tenant, row[0]) for row in missing)
        self._damages(tenants, feed, after, findings)
        return passed

    def _damages(self, tenants: Collection[str] | None, feed: str, after: int, findings: Findings) -> None:
        """What reading met; of no tenant and no feed is what cannot be said whose it is."""
        for damage in self._log.damages.known:
            mine = tenants is None or not damage.tenant or damage.tenant in tenants
            if mine and (not damage.seq or damage.seq > after) and feed in ("", damage.feed):
                findings.add(
                    kinds.LogDamaged, tenant=damage.tenant, feed=damage.feed, receipt=damage.receipt,
                    seq=damage.seq or None, what="entry" if damage.seq else "file", expected="what was appended",
                    found=damage.what,
                )  # fmt: skip

    def _compare(self, tenant: str, rows: list[tuple[Any, ...]], findings: Findings) -> list[tuple[Any, ...]]:
        """The entries without a row in the store; notes what is amiss of them and of the others."""
        found = self._store.frame("verify_places", tenant=tenant, low=rows[0][0], high=rows[-1][0])
        stored = {(row["seq"], row["receipt"]): row for row in found.iter_rows(named=True)}
        at = dict(stored)
        missing = []
        for entry in rows:
            seq, receipt, _, feed, *_, sha256, _, _ = entry
            about: dict[str, Any] = {"tenant": tenant, "feed": feed, "seq": seq, "receipt": receipt}
            row = stored.get((seq, receipt))
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

    def _pages(self, after: int) -> Iterator[list[Checked]]:
        while page := self._log.checked(after, _ENTRIES, _BYTES):
            after = page[-1].row[0]
            yield page
