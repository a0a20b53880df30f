"""The queries of rejections: which records, and what is counted of them."""

from typing import Annotated, Final, Literal

from tidemill.query import answers, readers
from tidemill.query.parameters import (
    INSTANT,
    TEXT,
    FeedName,
    Parameter,
    RangeParameters,
    SealedCursor,
    Tags,
    Zone,
    limit_of_files,
    one_of,
)

MAX_PAGE: Final = 1000
MAX_EXPORTED: Final = 1_000_000
FORMATS: Final = ("csv", "ndjson", "parquet")
_BY_TYPE: Final = {answers.MEDIA_TYPES[name]: name for name in FORMATS}
DEFAULT_PAGE: Final = 100
MAX_REASONS: Final = 50  # of one request
MAX_FACETS: Final = 10


def _read_facets(text: str, _: readers.Context) -> tuple[str, ...]:
    """The names of facets, each once. Raises ItemsError with the fault of every other one."""
    names = text.split(",")
    if len(names) > MAX_FACETS:
        raise ValueError(f"at most {MAX_FACETS} facets at a time")
    return readers.read_each(names, _facet)


def _facet(text: str) -> str:
    if text in ("feed", "reason") or (text.startswith("tag.") and len(text) > len("tag.")):
        return text
    raise ValueError(f"'{text[:40]}' is no facet: feed, reason, or tag.NAME")


class RejectionFilters(RangeParameters, frozen=True):
    """Filters of rejections: of records received in [start, end), with times in [time_start, time_end)."""

    time_start: Annotated[
        int | None,
        Parameter("Only records with a time from this instant on, included.", readers.instant, INSTANT),
    ] = None
    time_end: Annotated[
        int | None, Parameter("Only records with a time before this instant.", readers.instant, INSTANT)
    ] = None
    feed: FeedName = None
    reason: Annotated[
        tuple[str, ...],
        Parameter(
            "Only with this reason code; given several times, with any of them.", readers.word, TEXT, most=MAX_REASONS
        ),
    ] = ()
    receipt: Annotated[str | None, Parameter("Only records of this payload.", readers.word, TEXT)] = None
    tags: Tags = {}
    series: Annotated[
        int | None, Parameter("Only records whose points would have been of this series.", readers.series, TEXT)
    ] = None
    recovered: Annotated[
        Literal["without", "with", "only"],
        one_of(
            "Records that a replay made points of after all: `without` them, `with` them, or `only` them.",
            "without",
            "with",
            "only",
        ),
    ] = "without"


class RejectionSummaryQuery(RejectionFilters, frozen=True):
    """What to count of the rejections, and how."""

    every: Annotated[
        readers.WindowLength | None,
        Parameter("Count in windows of this length, too: 1s, 15m, 1h, 1d, 1w, 1mo.", readers.window, TEXT),
    ] = None
    windows_of: Annotated[
        Literal["received", "time"],
        one_of("Which time the windows are of: of receipt, or the records' own.", "received", "time"),
    ] = "received"
    tz: Zone = "UTC"
    by: Annotated[
        tuple[str, ...],
        Parameter("Facets, separated by commas: `feed`, `reason`, `tag.NAME`; at most 10.", _read_facets, TEXT),
    ] = ()


class RejectionsQuery(RejectionFilters, frozen=True):
    """A page of the ledger, or a file of it."""

    limit: Annotated[int | None, limit_of_files("records", DEFAULT_PAGE, MAX_PAGE, MAX_EXPORTED)] = None
    cursor: SealedCursor = None
    format: Annotated[
        Literal["json", "csv", "ndjson", "parquet"] | None,
        one_of(
            "`json` a page; `csv`, `ndjson` and `parquet` the whole selection. Without it as `Accept` says.",
            "json",
            *FORMATS,
        ),
    ] = None

    def answer_format(self, accept: str) -> str:
        """`format`; without it that of the first media type in an Accept header that has one, else `json`."""
        for item in () if self.format else accept.split(","):
            kind = item.partition(";")[0].strip().lower()
            if kind in _BY_TYPE:
                return _BY_TYPE[kind]
            if kind in ("application/json", "application/*", "*/*"):
                return "json"
        return self.format or "json"
