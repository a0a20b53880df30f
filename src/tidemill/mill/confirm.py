"""Confirms that the store holds what it answered for: what was applied is counted in the store, and applied again
where it is not there. The log is trimmed only up to what was confirmed.

A store may answer "stored" and keep nothing (an engine that swallows an error, a disk that lies, a proxy that answers
by itself). The log knows better: every payload in it that was applied has a row in `payloads`, for good. Of those
that have one, accepted records left points and rejected ones are in the ledger; where counts do not say so, the check
of `tidemill verify` decides, which knows what deletions and retention take. Replaced values, changes and rollups are
not counted by themselves.
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
_PAUSE_MOST_S: Final = 600.0  # before the same payload is applied again, and again in vain
_ENTRIES: Final = 100_000  # of the log at a time
_BYTES: Final = 32 << 20  # of their bodies: some 16,000,000 points at the most, which the store counts in 300 MB
_READ: Final = 1_000  # with their bodies
_LOST: Final = (kinds.PointMissing, kinds.PointDiffers, kinds.ReceiptRejected, kinds.RecordUnaccounted)


class Confirmer:
    """Confirms the payloads of one partition in one store; `confirmed` keeps how far, durably. Call `look` often: it
    works when it is time, at once after the start and after `hurry`, else every 20 s while there is something to
    confirm.

    `refused` is why the store did not answer the last question (empty: it did). Nothing is confirmed then, and
    nothing else waits for that."""

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
        self._returned_to = 0  # the payload that was lacking last
        self._pause_s = EVERY_S
        self._pages = PageCheck(
            store, VersionedReader(book, max_depth), PointCheck(store, Explainer(store, book, clock))
        )

    @property
    def seq(self) -> int:
        """The offset up to which everything is confirmed."""
        return self._confirmed.seq

    def hurry(self) -> None:
        """Something went wrong with the store: look at the next chance."""
        self._due = self._monotonic()

    def forget(self) -> None:
        """Confirm everything that the log holds anew, as the store may be of another day: it may have a payload and
        lack an older one of a tenant that was behind. Raises OSError."""
        if self.seq > self._confirmed.start:
            self._confirmed.save(self._confirmed.start)
        self.hurry()

    def look(self, checkpoint: int) -> int | None:
        """Confirm a piece of what is up to `checkpoint`, if it is time; null, or the offset after which the log must be
        applied again. The next piece is for the next call, so that new payloads do not wait for all of them.

        Raises StoreUnavailableError, LogUnavailableError, OSError: what was confirmed by then stays.
        """
        if checkpoint < self.seq:
            self.forget()
        if checkpoint == self.seq or self._monotonic() < self._due:
            return None
        after = max(self.seq, self._reader.first_seq() - 1)
        logged = self._next(after, checkpoint)
        upto = logged[-1].seq if logged else checkpoint
        try:
            lacking = self._lacking(logged, after, upto)
        except StoreQueryError as error:
            self._refuse(error, len(logged))
            return None
        self.refused = ""
        if lacking:
            self._return_to(lacking, upto)
            return lacking - 1
        self._confirmed.save(upto)
        self._at_most = min(_ENTRIES, 2 * self._at_most)
        if upto == checkpoint:
            self._due = self._monotonic() + EVERY_S
        return None

    def _next(self, after: int, checkpoint: int) -> list[Header]:
        """The entries of the next piece; [] when there are none. Where an entry is damaged, a piece is short."""
        logged: list[Header] = []
        left_bytes = _BYTES
        for header in self._reader.headers(after, self._at_most):
            left_bytes -= header.size_bytes
            if header.seq > checkpoint or (logged and left_bytes < 0):
                break
            logged.append(header)
        return logged

    def _refuse(self, error: StoreQueryError, count: int) -> None:
        """The store refused to count so many: ask for half of them next, or for the one again later."""
        self.refused = f"the store cannot be asked whether it holds what was applied: {error.message}"
        self._at_most = max(1, count // 2)
        if count <= 1:
            self._due = self._monotonic() + EVERY_S
            _log.error("payloads above %d cannot be confirmed: %s", self.seq, self.refused)

    def _return_to(self, lacking: int, upto: int) -> None:
        """What was applied again and lacks still may lack for good: it is tried less and less often."""
        in_vain = lacking == self._returned_to
        self._pause_s = min(2 * self._pause_s, _PAUSE_MOST_S) if in_vain else EVERY_S
        self._returned_to = lacking
        self._due = self._monotonic() + self._pause_s
        _log.error(
            "the store lacks what it had answered for, of payload %d and others up to %d: applying again from there%s",
            lacking, upto, ", though that was in vain. `tidemill verify` says what is missing" if in_vain else "",
        )  # fmt: skip

    def _lacking(self, logged: Sequence[Header], after: int, upto: int) -> int:
        """The first offset at which the store lacks something of these entries; 0 if it holds everything."""
        if not logged:
            return 0
        of_tenant: dict[str, list[int]] = {}
        for header in logged:
            of_tenant.setdefault(header.tenant, []).append(header.seq)
        asked: dict[str, Any] = {"tenants": list(of_tenant), "after": after, "upto": upto}
        stored = {row["tenant"]: (row["n"], row["total"]) for row in self._store.rows("confirm_counts", **asked)}
        first = [int(self._store.rows("confirm_nameless", **asked)[0]["first"])]
        for tenant, seqs in of_tenant.items():
            if stored.get(tenant) != (len(seqs), sum(seq - after for seq in seqs)):
                first.append(self._missing(tenant, seqs, after, upto))
        for suspects in self._store.frame("confirm_suspects", **asked).partition_by("tenant", "feed"):
            first.append(self._thinned(suspects))
        return min((seq for seq in first if seq), default=0)

    def _missing(self, tenant: str, seqs: Sequence[int], after: int, upto: int) -> int:
        """The first of a tenant's entries that has no row though the log can still give it; 0 if all have one."""
        stored = self._store.frame("confirm_places", tenant=tenant, after=after, upto=upto)["seq"]
        missing = sorted(set(seqs) - set(stored))
        given = [
            entry.seq for start in range(0, len(missing), _READ) for entry in self._reader.at(missing[start:][:_READ])
        ]
        if given:
            _log.error("%d payloads of tenant '%s' are not in the store", len(given), tenant)
        return min(given, default=0)

    def _thinned(self, suspects: pl.DataFrame) -> int:
        """The first of these payloads of one feed, when rows of them are missing; 0 when nothing is."""
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
