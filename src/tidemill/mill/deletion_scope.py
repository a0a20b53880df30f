"""What a deletion means: which series, which stretch of time and of the log, and what is there of it now."""

import msgspec

from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.mill.context import MillContext
from tidemill.mill.expired import Expired
from tidemill.mill.stages import TransformPipeline
from tidemill.model.deletion import Deletion
from tidemill.store.deletions import DeletionEvidence, DeletionScope, find_payload_offset, read_evidence, read_scope


class Concerned(msgspec.Struct, frozen=True):
    """What a deletion concerns, and what is there of it."""

    scope: DeletionScope
    evidence: DeletionEvidence


class ScopeReader:
    """Reads what deletions concern from one store. Raises StoreUnavailableError, StoreQueryError."""

    def __init__(self, context: MillContext, book: FeedBook, pipeline: TransformPipeline) -> None:
        self._store = context.store
        self._book = book
        self._expired = Expired(context, pipeline)

    def read(self, tenant: str, deletion: Deletion, seq: int, *, begun: bool) -> Concerned:
        """What the deletion at `seq` of the log concerns. `begun`: an attempt at it that was cut short may have taken
        bytes already. For a range of a feed whose points expire, tombstones are written of those that have."""
        of = find_payload_offset(self._store, tenant, deletion.receipt, begun=begun) if deletion.receipt else None
        if deletion.receipt and of is None:
            of = seq  # nothing of it is left: an empty range of places
        concerned = read_scope(self._store, tenant, deletion, seq, payload_offset=of)
        there = read_evidence(self._store, concerned)
        if deletion.kind == "range" and concerned.series and self._expires(concerned):
            there = self._expired.add(concerned, deletion, there, seq)
        return Concerned(concerned, there)

    def _expires(self, concerned: DeletionScope) -> bool:
        """Whether points of the feed go by themselves, so that bytes may be all that is left of a record."""
        try:
            feed = self._book.current(concerned.tenant, concerned.feed)
        except (NotFoundError, FeedDefinitionError):
            return False
        return feed.retention.points is not None
