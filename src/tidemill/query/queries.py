"""All queries of the API over the store and the log, by area. Sync and thread-safe; one instance per process."""

from collections.abc import Callable

from tidemill.feeds.book import FeedBook
from tidemill.log.contract import LogReader
from tidemill.model.offset import Reach
from tidemill.query.analysis import AnalysisQueries
from tidemill.query.as_of import PastAnswers
from tidemill.query.changes import Changes
from tidemill.query.cursors import PROCESS_SEALS, Seals
from tidemill.query.deletion_receipts import DeletionQueries
from tidemill.query.feeds import FeedQueries
from tidemill.query.find import Finder
from tidemill.query.flow import FlowQueries
from tidemill.query.forecast_scores import ForecastScores
from tidemill.query.forecasts import StoredForecastQueries
from tidemill.query.gaps import WindowEvidence
from tidemill.query.lineage import LineageQueries
from tidemill.query.many_points import ManyPoints
from tidemill.query.meterdata import Meterdata
from tidemill.query.payload_entries import PayloadEntries
from tidemill.query.payload_records import PayloadRecords
from tidemill.query.planner import WindowPlanner
from tidemill.query.points import PointQueries
from tidemill.query.questions import Questions
from tidemill.query.receipt_list import ReceiptList
from tidemill.query.receipts import Receipts
from tidemill.query.rejections import RejectionQueries
from tidemill.query.replay_differences import ReplayDifferences
from tidemill.query.rows import RowQueries
from tidemill.query.series import Hidden, SeriesQueries
from tidemill.query.stream import StreamQueries
from tidemill.query.waiting import WaitingPayloads
from tidemill.query.why import WhyQueries
from tidemill.store.client import Store


class Queries:
    """The areas over one store and log.

    `book` has every version of every feed. `hidden` gives the ids of a tenant's series whose deletion is acknowledged
    but not applied yet: no answer contains them. `applied` gives a tenant's applied offset in each partition. `seals`
    hide the offsets in a cursor from its holder. Every method of an area may raise StoreUnavailableError and
    StoreQueryError.
    """

    def __init__(
        self,
        store: Store,
        log: LogReader,
        book: FeedBook,
        hidden: Hidden = lambda tenant: (),
        applied: Callable[[str], Reach] = lambda tenant: (0,),
        *,
        seals: Seals = PROCESS_SEALS,
    ) -> None:
        self.receipts = Receipts(store, log)
        self.payload_entries = PayloadEntries(store, log)
        self.payload_records = PayloadRecords(store, log, book)
        self.replay_differences = ReplayDifferences(store, hidden)
        self.receipt_list = ReceiptList(store, log, applied)
        self.rejections = RejectionQueries(store, book, seals, len(log.partitions))
        self.deletions = DeletionQueries(store, log, seals)
        self.series = SeriesQueries(store, hidden, applied)
        self.analysis = AnalysisQueries(store, self.series)
        planner, evidence = WindowPlanner(book), WindowEvidence(store, log, book)
        self.points = PointQueries(store, self.series, planner)
        self.many_points = ManyPoints(
            store,
            hidden,
            applied,
            evidence=evidence,
            planner=planner,
            history=PastAnswers(store, book),
            rows=self.series.rows,
            extents=self.series.extents,
        )
        self.stored_forecasts = StoredForecastQueries(store)
        self.forecast_scores = ForecastScores(store, self.analysis)
        self.questions = Questions(store, hidden, self.many_points, evidence, applied)
        self.rows = RowQueries(store, hidden, book)
        self.lineage = LineageQueries(store, self.series, book, seals)
        self.why = WhyQueries(store, log, book, hidden, applied)
        self.changes = Changes(store, hidden, applied, seals)
        self.feeds = FeedQueries(store, hidden)
        self.meterdata = Meterdata(store, hidden)
        self.finder = Finder(store, self.series, self.receipts)
        self.waiting = WaitingPayloads(log, applied)
        self.flow = FlowQueries(store, self.waiting)
        self.stream = StreamQueries(store, self.changes, hidden, seals)
