"""Reads what a deletion concerns: its series, its range of time and of the log, and the points and payloads that are in
the store of it."""

import msgspec

from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.mill.context import MillContext
from tidemill.mill.expired import Expired
from tidemill.mill.stages import TransformPipeline
from tidemill.model.deletion import Deletion
from tidemill.store.deletions import DeletionEvidence, DeletionScope, find_payload_offset, read_evidence, read_scope


class Concerned(msgspec.Struct, frozen=True):
    """The scope of a deletion, and what the store has of it."""

    scope: DeletionScope
    evidence: DeletionEvidence


class ScopeReader:
    """Reads scopes of deletions from one store. Raises StoreUnavailableError, StoreQueryError."""

    def __init__(self, context: MillContext, book: FeedBook, pipeline: TransformPipeline) -> None:
        self._store = context.store
        self._book = book
        self._expired = Expired(context, pipeline)

    def read_concerned(self, tenant: str, deletion: Deletion, seq: int, *, begun: bool) -> Concerned:
        """What the deletion at offset `seq` concerns. `begun`: an interrupted attempt at it may have removed payload
        bytes already. For a range, writes tombstones of records that left no point: their points are past retention, or
        all of their values are null."""
        payload_seq = (
            find_payload_offset(self._store, tenant, deletion.receipt, begun=begun) if deletion.receipt else None
        )
        if deletion.receipt and payload_seq is None:
            payload_seq = seq  # nothing of the payload is left: an empty range of offsets
        concerned = read_scope(self._store, tenant, deletion, seq, payload_offset=payload_seq)
        present = read_evidence(self._store, concerned)
        if deletion.kind == "range":
            expires = self._expires(concerned)
            present = self._expired.add_expired(concerned, deletion, present, seq, expires=expires)
        return Concerned(concerned, present)

    def _expires(self, concerned: DeletionScope) -> bool:
        """Whether points of the feed expire, so that the payload's bytes may be all that is left of a record."""
        try:
            feed = self._book.newest(concerned.tenant, concerned.feed)
        except (NotFoundError, FeedDefinitionError):
            return False
        return feed.retention.points is not None
