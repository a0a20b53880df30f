"""The log against the store: what the mill has passed has its row, and is the same; what is beyond is waiting."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import msgspec

from tidemill.log.contract import PartitionReader
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.verify import kinds
from tidemill.mill.verify.report import Findings
from tidemill.model.payload import LogEntry
from tidemill.store.client import Store

_ENTRIES: Final = 20_000  # at a time
_BYTES: Final = 32 << 20


class Passed(msgspec.Struct):
    """What the log held: `entries`, and of these `waiting`: beyond the mill's place, and not in the store."""

    entries: int = 0
    waiting: int = 0


class LogCheck:
    """Checks one log. `position`: what of it the mill has applied."""

    def __init__(self, log: PartitionReader, store: Store, position: PartitionProgress) -> None:
        self._log = log
        self._store = store
        self._position = position

    def itself(self, highest: int, findings: Findings, *, whole: bool) -> None:
        """What the log finds wrong with itself (`whole`: the structure of its files, too), and whether it reaches what
        was durable in it and what was applied (`highest`)."""
        check = self._log.self_check(whole=whole)
        for fault in check.faults:
            findings.add(kinds.LogDamaged, tenant="", what=fault.what, expected=fault.expected, found=fault.observed)
        last = self._log.last_seq()  # after everything that it is held against: commits go on meanwhile
        for what, seq in (("its high-water mark", check.durable),
                          ("the highest payload applied", self._position.highest),
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
            mine = [
                one
                for one in page
                if (tenants is None or one.payload.tenant in tenants) and feed in ("", one.payload.feed)
            ]
            passed.entries += len(mine)
            for tenant in sorted({one.payload.tenant for one in mine}):
                missing = self._compare(tenant, [one for one in mine if one.payload.tenant == tenant], findings)
                passed.waiting += sum(not self._position.applied(tenant, one.seq) for one in missing)
        self._damages(tenants, feed, after, findings)
        return passed

    def _damages(self, tenants: Collection[str] | None, feed: str, after: int, findings: Findings) -> None:
        """What reading met; of no tenant and no feed is what cannot be said whose it is."""
        for damage in self._log.known_damages():
            mine = tenants is None or not damage.tenant or damage.tenant in tenants
            if mine and (not damage.seq or damage.seq > after) and feed in ("", damage.feed):
                findings.add(
                    kinds.LogDamaged, tenant=damage.tenant, feed=damage.feed, receipt=damage.receipt,
                    seq=damage.seq or None, what="entry" if damage.seq else "file", expected="what was appended",
                    found=damage.what,
                )  # fmt: skip

    def _compare(self, tenant: str, entries: list[LogEntry], findings: Findings) -> list[LogEntry]:
        """The entries without a row in the store; notes what is amiss of them and of the others."""
        found = self._store.frame("verify_offsets", tenant=tenant, low=entries[0].seq, high=entries[-1].seq)
        stored = {(row["seq"], row["receipt"]): row for row in found.iter_rows(named=True)}
        at = dict(stored)
        missing = []
        for entry in entries:
            seq, receipt, feed = entry.seq, entry.payload.receipt, entry.payload.feed
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
            for what, there, here in (
                ("feed", feed, row["feed"]),
                ("sha256", entry.payload.sha256.hex(), row["sha256"].lower()),
            ):
                if there != here:
                    findings.add(kinds.LogDiffers, what=what, expected=there, found=here, **about)
        return missing

    def _pages(self, after: int) -> Iterator[list[LogEntry]]:
        while page := self._log.read(after, _ENTRIES, _BYTES):
            after = page[-1].seq
            yield page
