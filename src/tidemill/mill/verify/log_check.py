"""Compares the log with the store: an entry that the mill has applied has a row with the same receipt, feed and sha256.
An entry beyond the applied offset is waiting."""

from collections.abc import Callable, Collection, Iterator
from itertools import groupby
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
    """What the log held: `entries`, and of these `waiting`: beyond the applied offset, and not in the store."""

    entries: int = 0
    waiting: int = 0


class LogCheck:
    """Checks one log. `progress`: what of it the mill has applied."""

    def __init__(self, log: PartitionReader, store: Store, progress: PartitionProgress) -> None:
        self._log = log
        self._store = store
        self._progress = progress

    def check_log(self, highest: int, findings: Findings, *, whole: bool) -> None:
        """Note the faults of the log's own check (`whole`: of the structure of its files, too), and an end of the log
        before what was durable in it, or before what was applied (`highest`: the last payload in the store)."""
        check = self._log.self_check(whole=whole)
        for fault in check.faults:
            findings.add(kinds.LogDamaged, tenant="", what=fault.what, expected=fault.expected, observed=fault.observed)
        last = self._log.last_seq()  # after everything that it is held against: commits go on meanwhile
        for what, seq in (("its high-water mark", check.durable),
                          ("the highest payload applied", self._progress.highest),
                          ("the highest payload in the store", highest)):  # fmt: skip
            if last < seq:
                findings.add(
                    kinds.LogShort,
                    tenant="",
                    what=what,
                    expected=f"an end at {seq} or beyond",
                    observed=f"an end at {last}",
                )

    def check_entries(
        self,
        tenants: Collection[str] | None,
        feed: str,
        after: int,
        findings: Findings,
        on_progress: Callable[[int, str], None] = lambda *_: None,
    ) -> Passed:
        """Compare every entry after an offset that is of these tenants (null: of all), and of `feed` unless that is
        empty."""
        passed = Passed()
        for page in self._pages(after):
            on_progress(0, "the log")
            entries = [
                entry
                for entry in page
                if (tenants is None or entry.payload.tenant in tenants) and feed in ("", entry.payload.feed)
            ]
            passed.entries += len(entries)
            for tenant, of_tenant in groupby(sorted(entries, key=_tenant), key=_tenant):
                missing = self._compare(tenant, list(of_tenant), findings)
                passed.waiting += sum(not self._progress.applied(tenant, entry.seq) for entry in missing)
        self._damages(tenants, feed, after, findings)
        return passed

    def _damages(self, tenants: Collection[str] | None, feed: str, after: int, findings: Findings) -> None:
        """Note the damages that reading met. A damage without a tenant or a feed counts for every tenant or feed."""
        for damage in self._log.known_damages():
            concerns = tenants is None or not damage.tenant or damage.tenant in tenants
            if concerns and (not damage.seq or damage.seq > after) and feed in ("", damage.feed):
                findings.add(
                    kinds.LogDamaged, tenant=damage.tenant, feed=damage.feed, receipt=damage.receipt,
                    seq=damage.seq or None, what="entry" if damage.seq else "file", expected="what was appended",
                    observed=damage.what,
                )  # fmt: skip

    def _compare(self, tenant: str, entries: list[LogEntry], findings: Findings) -> list[LogEntry]:
        """The entries without a row in the store; notes those that should have one, and rows that differ."""
        rows = self._store.frame("verify_offsets", tenant=tenant, low=entries[0].seq, high=entries[-1].seq)
        stored = {(row["seq"], row["receipt"]): row for row in rows.iter_rows(named=True)}
        missing = []
        for entry in entries:
            seq, receipt, feed = entry.seq, entry.payload.receipt, entry.payload.feed
            about: dict[str, Any] = {"tenant": tenant, "feed": feed, "seq": seq, "receipt": receipt}
            row = stored.get((seq, receipt))
            if row is None:
                missing.append(entry)
                if self._progress.applied(tenant, seq):
                    findings.add(
                        kinds.LogUnapplied, what="payload", expected="a row in the store", observed="none", **about
                    )
                continue
            for what, logged, in_store in (
                ("feed", feed, row["feed"]),
                ("sha256", entry.payload.sha256.hex(), row["sha256"].lower()),
            ):
                if logged != in_store:
                    findings.add(kinds.LogDiffers, what=what, expected=logged, observed=in_store, **about)
        return missing

    def _pages(self, after: int) -> Iterator[list[LogEntry]]:
        while page := self._log.read(after, _ENTRIES, _BYTES):
            after = page[-1].seq
            yield page


def _tenant(entry: LogEntry) -> str:
    return entry.payload.tenant
