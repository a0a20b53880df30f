"""Confirms that the store holds what it answered for: what was applied is counted in the store, and applied again
where it is not there. The log is trimmed only up to what was confirmed.

A store may answer "stored" and keep nothing (an engine that swallows an error, a disk that lies, a proxy that answers
by itself). The log knows better: every payload in it that was applied has a row in `payloads`, for good. Of those
that have one, accepted records left points and rejected ones are in the ledger; where counts do not say so, the check of
`tidemill verify` decides, which knows what deletions and retention take. Replaced values, changes and rollups are not
counted by themselves.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl

from tidemill.decode.decoder import MAX_DEPTH
from tidemill.feeds.book import FeedBook
from tidemill.log.contract import LogReader
from tidemill.mill.position import Position
from tidemill.mill.verify import kinds
from tidemill.mill.verify.again import Reader
from tidemill.mill.verify.explain import Explainer
from tidemill.mill.verify.page import PageCheck, Stretch
from tidemill.mill.verify.points import PointCheck
from tidemill.mill.verify.report import Findings
from tidemill.store.client import Store

_log = logging.getLogger(__name__)

EVERY_S: Final = 20.0
_PLACES: Final = 100_000  # of the log at a time
_LOST: Final = (kinds.PointMissing, kinds.PointDiffers, kinds.ReceiptRejected, kinds.RecordUnaccounted)


class Confirmer:
    """Confirms one log's payloads in one store; `path` keeps how far, durably. Call `look` often: it works when it is
    time, at once after the start and after `hurry`, else every 20 s while there is something to confirm."""

    def __init__(
        self,
        reader: LogReader,
        store: Store,
        book: FeedBook,
        path: Path,
        *,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        self._reader = reader
        self._store = store
        self._confirmed = Position(path)
        self._monotonic = monotonic
        self._due = monotonic()
        self._pages = PageCheck(store, Reader(book, max_depth), PointCheck(store, Explainer(store, book, clock)))

    @property
    def seq(self) -> int:
        """The place up to which everything is confirmed."""
        return self._confirmed.seq

    def hurry(self) -> None:
        """Something went wrong with the store: look at the next chance."""
        self._due = self._monotonic()

    def look(self, checkpoint: int) -> int | None:
        """Confirm up to `checkpoint` if it is time; null, or the place after which the log must be applied again.

        Raises StoreUnavailableError, StoreQueryError, LogUnavailableError, OSError: what was confirmed by then stays.
        """
        if checkpoint < self.seq:  # the store was wiped, or is of an earlier day
            self._confirmed.save(checkpoint)
        if checkpoint == self.seq or self._monotonic() < self._due:
            return None
        after = max(self.seq, self._reader.first_seq() - 1)
        while after < checkpoint:
            upto = min(after + _PLACES, checkpoint)
            lacking = self._lacking(after, upto)
            if lacking:
                self._due = self._monotonic() + EVERY_S
                _log.error(
                    "the store lacks what it had answered for, of payload %d and others up to %d: applying again from "
                    "there", lacking, upto,
                )  # fmt: skip
                return lacking - 1
            self._confirmed.save(upto)
            after = upto
        self._due = self._monotonic() + EVERY_S
        return None

    def _lacking(self, after: int, upto: int) -> int:
        """The first place at which the store lacks something; 0 if it holds everything."""
        logged = self._reader.counts(after, upto)
        if not logged:
            return 0
        asked: dict[str, Any] = {"tenants": list(logged), "after": after, "upto": upto}
        stored = {row["tenant"]: (row["n"], row["total"]) for row in self._store.rows("confirm_counts", **asked)}
        first = [int(self._store.rows("confirm_nameless", **asked)[0]["first"])]
        for tenant, counts in logged.items():
            if stored.get(tenant) != counts:
                first.append(self._missing(tenant, after, upto))
        for suspects in self._store.frame("confirm_suspects", **asked).partition_by("tenant", "feed"):
            first.append(self._thinned(suspects))
        return min((place for place in first if place), default=0)

    def _missing(self, tenant: str, after: int, upto: int) -> int:
        """The first payload of the log that has no row; 0 if all have one."""
        stored = self._store.frame("confirm_places", tenant=tenant, after=after, upto=upto)["seq"]
        missing = set(self._reader.places(tenant, after, upto)) - set(stored)
        if missing:
            _log.error("%d payloads of tenant '%s' are not in the store", len(missing), tenant)
        return min(missing, default=0)

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
        self._pages.check(stretch, findings, lambda *_: None)
        return not any(kind.code in findings.counts for kind in _LOST)
