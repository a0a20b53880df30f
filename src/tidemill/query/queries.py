"""Every question the API can ask about what is stored, by area. Sync and thread-safe; one instance a process."""

from tidemill.log.contract import LogReader
from tidemill.query.feeds import FeedQueries
from tidemill.query.meterdata import Meterdata
from tidemill.query.points import PointQueries
from tidemill.query.receipts import Receipt, Receipts
from tidemill.query.rejections import Rejections
from tidemill.query.rows import RowQueries
from tidemill.query.series import Hidden, SeriesQueries
from tidemill.store.client import Store


class Queries:
    """The areas over one store and log.

    `hidden` gives the ids of a tenant's series whose deletion is acknowledged but not applied yet: they are in no
    answer. Every method of an area may raise StoreUnavailableError and StoreQueryError.
    """

    def __init__(self, store: Store, log: LogReader, hidden: Hidden = lambda tenant: ()) -> None:
        self.receipts = Receipts(store, log)
        self.rejections = Rejections(store)
        self.series = SeriesQueries(store, hidden)
        self.points = PointQueries(store, self.series)
        self.rows = RowQueries(store, hidden)
        self.feeds = FeedQueries(store, hidden)
        self.meterdata = Meterdata(store, hidden)

    def receipt(self, tenant: str, receipt: str) -> Receipt:
        """What is known of a payload. Raises NotFoundError."""
        return self.receipts.receipt(tenant, receipt)
