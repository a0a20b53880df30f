"""Confirms that the store holds what it answered for: counts in the store what was applied, and names the offset after
which the log must be applied again where something is missing. The log is trimmed only up to what was confirmed.

A store may answer "stored" and keep nothing (an engine that swallows an error, a disk that lies, a proxy that answers
by itself). The log is the evidence: every payload in it that was applied has a row in `payloads`, for good. Of payloads
that have a row, accepted records have points and rejected records are in the ledger; where the counts differ, the check
of `tidemill verify` decides, which takes deletions and retention into account. Replaced values, changes and rollups
are not counted by themselves.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import polars as pl

from tidemill.decode.decoder import MAX_DEPTH
from tidemill.errors import StoreQueryError
from tidemill.feeds.book import FeedBook
from tidemill.log.contract import BacklogReader, Header
from tidemill.mill.checkpoint import Checkpoint
from tidemill.mill.verify import kinds
from tidemill.mill.verify.decoded import VersionedReader
from tidemill.mill.verify.explain import Explainer
from tidemill.mill.verify.page_check import PageCheck, Stretch
from tidemill.mill.verify.point_check import PointCheck
from tidemill.mill.verify.report import Findings
from tidemill.store.client import Store

_log = logging.getLogger(__name__)

EVERY_S: Final = 20.0
_PAUSE_MOST_S: Final = 600.0  # before the same payload is applied again, after that was in vain
_ENTRIES: Final = 100_000  # of the log at a time
_BYTES: Final = 32 << 20  # of their bodies: some 16,000,000 points at the most, which the store counts in 300 MB
_READ: Final = 1_000  # entries with their bodies at a time
_LOST: Final = (kinds.PointMissing, kinds.PointDiffers, kinds.ReceiptRejected, kinds.RecordUnaccounted)


class Confirmer:
    """Confirms the payloads of one partition in one store, and saves the offset in `confirmed`. Call `confirm_next`
    often: it works at once after the start and after `hurry`, else every 20 s while there is something to confirm.

    `refused` is why the store did not answer the last query (empty: it did). Nothing is confirmed then, and nothing
    else waits for that."""

    def __init__(
        self,
        reader: BacklogReader,
        store: Store,
        book: FeedBook,
        confirmed: Checkpoint,
        *,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        self.refused = ""
        self._reader = reader
        self._store = store
        self._confirmed = confirmed
        self._monotonic = monotonic
        self._due = monotonic()
        self._at_most = _ENTRIES
        self._last_lacking = 0  # the offset of the payload that was lacking last
        self._pause_s = EVERY_S
        self._pages = PageCheck(
            store, VersionedReader(book, store, max_depth), PointCheck(store, Explainer(store, book, clock))
        )

    @property
    def seq(self) -> int:
        """The offset up to which everything is confirmed."""
        return self._confirmed.seq

    def reread(self) -> None:
        """Go by what is saved now: another mill may have worked on the partition since."""
        self._confirmed.reread()

    def hurry(self) -> None:
        """Something went wrong with the store: the next `confirm_next` counts."""
        self._due = self._monotonic()

    def restart(self) -> None:
        """Confirm everything that the log holds once more, because the store may be an older copy: it may have a
        payload and lack an older one of a tenant that was behind. Raises OSError."""
        if self.seq > self._confirmed.start:
            self._confirmed.save(self._confirmed.start)
        self.hurry()

    def confirm_next(self, checkpoint: int) -> int | None:
        """Confirm some entries up to `checkpoint`, if it is time; returns null, or the offset after which the log must
        be applied again. Further entries are for the next call, so that new payloads do not wait for all of them.

        Raises StoreUnavailableError, LogUnavailableError, OSError: what was confirmed before stays confirmed.
        """
        if checkpoint < self.seq:
            self.restart()
        if checkpoint == self.seq or self._monotonic() < self._due:
            return None
        after = max(self.seq, self._reader.first_seq() - 1)
        logged = self._next(after, checkpoint)
        upto = logged[-1].seq if logged else checkpoint
        try:
            lacking = self._first_lacking(logged, after, upto)
        except StoreQueryError as error:
            self._refuse(error, len(logged))
            return None
        self.refused = ""
        if lacking:
            self._note_lacking(lacking, upto)
            return lacking - 1
        self._confirmed.save(upto)
        self._at_most = min(_ENTRIES, 2 * self._at_most)
        if upto == checkpoint:
            self._due = self._monotonic() + EVERY_S
        return None

    def _next(self, after: int, checkpoint: int) -> list[Header]:
        """The headers of the entries to confirm next; [] when there are none. Fewer where an entry is damaged."""
        logged: list[Header] = []
        left_bytes = _BYTES
        for header in self._reader.headers(after, self._at_most):
            left_bytes -= header.size_bytes
            if header.seq > checkpoint or (logged and left_bytes < 0):
                break
            logged.append(header)
        return logged

    def _refuse(self, error: StoreQueryError, count: int) -> None:
        """Note that the store refused to count so many: it is asked for half of them next, or for a single one
        later."""
        self.refused = f"the store cannot be asked whether it holds what was applied: {error.message}"
        self._at_most = max(1, count // 2)
        if count <= 1:
            self._due = self._monotonic() + EVERY_S
            _log.error("payloads above %d cannot be confirmed: %s", self.seq, self.refused)

    def _note_lacking(self, lacking: int, upto: int) -> None:
        """Note that something is lacking. What still lacks after it was applied again is tried less and less often."""
        in_vain = lacking == self._last_lacking
        self._pause_s = min(2 * self._pause_s, _PAUSE_MOST_S) if in_vain else EVERY_S
        self._last_lacking = lacking
        self._due = self._monotonic() + self._pause_s
        _log.error(
            "the store lacks what it had answered for, of payload %d and others up to %d: applying again from there%s",
            lacking, upto, ", though that was in vain. `tidemill verify` says what is missing" if in_vain else "",
        )  # fmt: skip

    def _first_lacking(self, logged: Sequence[Header], after: int, upto: int) -> int:
        """The first offset at which the store lacks something of these entries; 0 if it holds everything."""
        if not logged:
            return 0
        of_tenant: dict[str, list[int]] = {}
        for header in logged:
            of_tenant.setdefault(header.tenant, []).append(header.seq)
        params: dict[str, Any] = {"tenants": list(of_tenant), "after": after, "upto": upto}
        stored = {row["tenant"]: (row["n"], row["total"]) for row in self._store.rows("confirm_counts", **params)}
        first = [int(self._store.rows("confirm_nameless", **params)[0]["first"])]
        for tenant, seqs in of_tenant.items():
            if stored.get(tenant) != (len(seqs), sum(seq - after for seq in seqs)):
                first.append(self._missing(tenant, seqs, after, upto))
        for suspects in self._store.frame("confirm_suspects", **params).partition_by("tenant", "feed"):
            first.append(self._first_thinned(suspects))
        return min((seq for seq in first if seq), default=0)

    def _missing(self, tenant: str, seqs: Sequence[int], after: int, upto: int) -> int:
        """The offset of the first of a tenant's entries that has no row in the store and is still in the log; 0 if
        there is none."""
        stored = self._store.frame("confirm_offsets", tenant=tenant, after=after, upto=upto)["seq"]
        missing = sorted(set(seqs) - set(stored))
        logged = [
            entry.seq
            for start in range(0, len(missing), _READ)
            for entry in self._reader.entries_at(missing[start:][:_READ])
        ]
        if logged:
            _log.error("%d payloads of tenant '%s' are not in the store", len(logged), tenant)
        return min(logged, default=0)

    def _first_thinned(self, suspects: pl.DataFrame) -> int:
        """The offset of the first of these payloads of one feed, when rows of them are missing; 0 when none is."""
        tenant, feed = suspects.select("tenant", "feed").row(0)
        if self._verified(tenant, feed, suspects):
            return 0
        _log.error("rows of payloads of feed '%s' of tenant '%s' are not in the store", feed, tenant)
        return int(suspects["seq"][0])

    def _verified(self, tenant: str, feed: str, suspects: pl.DataFrame) -> bool:
        """Whether nothing of these payloads is missing after all: deletions and retention explain the rest."""
        findings = Findings()
        low, high = int(suspects["seq"][0]), int(suspects["seq"][-1])
        stretch = Stretch(tenant=tenant, feed=feed, page=suspects, after=low - 1, upto=high)
        self._pages.check_stretch(stretch, findings, lambda *_: None)
        return not any(kind.code in findings.counts for kind in _LOST)
