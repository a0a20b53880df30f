"""Every question the API can ask about what is stored, by area. Sync and thread-safe; one instance a process."""

from collections.abc import Callable

from tidemill.feeds.book import FeedBook
from tidemill.log.contract import LogReader
from tidemill.model.offset import Reach
from tidemill.query.changes import Changes
from tidemill.query.cursors import OF_PROCESS, Seals
from tidemill.query.deletion_receipts import DeletionQueries
from tidemill.query.feeds import FeedQueries
from tidemill.query.lineage import LineageQueries
from tidemill.query.meterdata import Meterdata
from tidemill.query.points import PointQueries
from tidemill.query.receipts import Receipts
from tidemill.query.rejections import RejectionQueries
from tidemill.query.rows import RowQueries
from tidemill.query.series import Hidden, SeriesQueries
from tidemill.query.why import WhyQueries
from tidemill.store.client import Store


class Queries:
    """The areas over one store and log.

    `book` has every version of every feed. `hidden` gives the ids of a tenant's series whose deletion is acknowledged
    but not applied yet: they are in no answer. `applied` is, of each partition, the offset up to which the store has
    everything of a tenant. `seals` hide places in the log from who holds a cursor. Every method of an area may raise
    StoreUnavailableError and StoreQueryError.
    """

    def __init__(
        self,
        store: Store,
        log: LogReader,
        book: FeedBook,
        hidden: Hidden = lambda tenant: (),
        applied: Callable[[str], Reach] = lambda tenant: (0,),
        *,
        seals: Seals = OF_PROCESS,
    ) -> None:
        self.receipts = Receipts(store, log)
        self.rejections = RejectionQueries(store, seals, len(log.partitions))
        self.deletions = DeletionQueries(store, log, seals)
        self.series = SeriesQueries(store, hidden)
        self.points = PointQueries(store, self.series)
        self.rows = RowQueries(store, hidden, book)
        self.lineage = LineageQueries(store, self.series, book, seals)
        self.why = WhyQueries(store, log, book, hidden, applied)
        self.changes = Changes(store, hidden, applied, seals)
        self.feeds = FeedQueries(store, hidden)
        self.meterdata = Meterdata(store, hidden)
