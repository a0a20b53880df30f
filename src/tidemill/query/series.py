"""Series: the list with filters, the count, one series in full, and its metrics.

No answer contains a deleted series, from the moment of the acknowledgement: `hidden` gives the ids of those whose
deletion the mill has not applied yet.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.statistics import TimeMetrics
from tidemill.errors import LimitError, NotFoundError
from tidemill.model.ids import format_series, parse_series
from tidemill.model.offset import Reach
from tidemill.model.time import format_instant
from tidemill.query import answers, readers
from tidemill.query.analysis_answers import FrequencyMetrics
from tidemill.query.analysis_parameters import Bands, Peaks
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.files import csv_head
from tidemill.query.kept import generation_of
from tidemill.query.parameters import (
    TEXT,
    FeedName,
    FieldName,
    Format,
    Parameter,
    QueryParameters,
    RangeParameters,
    SeriesName,
    Tags,
    limit_to,
    one_of,
    page_cursor,
    quality_params,
    time_range,
)
from tidemill.query.plain_points import samples_frame
from tidemill.query.point_files import points_file, with_head
from tidemill.query.samples_document import samples_document
from tidemill.query.series_extents import SeriesExtents
from tidemill.query.series_index import SeriesIndexes
from tidemill.query.series_rows import Description, SeriesRows
from tidemill.query.series_search import (
    BEFORE_ALL,
    FacetValue,
    SearchOptions,
    read_facets,
    read_words,
    search_series,
    series_details,
    with_extents,
)
from tidemill.store.client import Store
from tidemill.store.generations import Generation

MAX_ARRAY_SAMPLES: Final = 5_000_000  # most samples of two JSON arrays in an answer, and of the input of metrics
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Hidden = Callable[[str], Collection[int]]


class SeriesFilter(QueryParameters, frozen=True):
    """Filters of series: a series must match all of them."""

    feed: FeedName = None
    field: FieldName = None
    name: SeriesName = None
    tags: Tags = {}


class SeriesQuery(SeriesFilter, frozen=True):
    """A page of a list of series, or of a search."""

    q: Annotated[
        tuple[str, ...],
        Parameter(
            "Only series that have every one of these words, of any case, somewhere in the name, the field, the feed "
            "or the value of a tag.",
            read_words,
            TEXT,
        ),
    ] = ()
    facets: Annotated[
        tuple[str, ...],
        Parameter(
            "Facets to count, separated by commas: `feed`, `field`, `tag.NAME`, `tag.*` (every tag).", read_facets, TEXT
        ),
    ] = ()
    sort: Annotated[
        Literal["feed", "name", "match"] | None,
        one_of(
            "`feed`: by feed, name, field and id; `name`: by name first; `match`: what begins with the first word "
            "first, which is how a search with `q` is sorted.",
            "feed",
            "name",
            "match",
        ),
    ] = None
    extent: Annotated[
        bool,
        Parameter(
            "`false`: without counts and times of points (null), which take the longest of a list.",
            readers.true_or_false,
            {"type": "boolean", "default": True},
        ),
    ] = True
    limit: Annotated[int, limit_to(1000)] = 100
    cursor: Annotated[tuple[str, str, str, int] | None, page_cursor(str, str, str, int)] = None

    @property
    def is_search(self) -> bool:
        """Whether the request needs more than the plain list."""
        return bool(self.q or self.facets or self.sort or not self.extent)


class FullSeriesQuery(QueryParameters, frozen=True):
    """A series in full."""

    format: Format = "json"


class MetricsQuery(RangeParameters, frozen=True):
    """Metrics of the samples in [start, end)."""

    q: Annotated[
        tuple[float, ...], Parameter("Quantiles from 0 to 1, separated by commas.", readers.quantiles, TEXT)
    ] = (0.05, 0.25, 0.5, 0.75, 0.95)
    bands: Bands = ()
    peaks: Peaks = 5


class SeriesItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A series in a list. `count` is of values, `missing` of samples without one (null); `first` and `last` are times
    of samples; with `extent=false` these four are null. `removed`, which only such a series has: its feed was removed,
    and the series can still be read."""

    id: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None
    count: int | None
    missing: int | None
    first: str | None
    last: str | None
    removed: bool = False


class SeriesPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of series, ordered by feed, name, field and id unless `sort` says otherwise. With `q`, `facets` or `sort`
    also `total`, how many series match, and `facets`: of each facet asked for its 20 most frequent values."""

    items: list[SeriesItem]
    next: str | None
    total: int | None = None
    facets: dict[str, list[FacetValue]] | None = None


class SeriesCount(msgspec.Struct, frozen=True):
    """How many series there are."""

    count: int
    by_feed: dict[str, int]


class FullSeries(msgspec.Struct, frozen=True):
    """A series with every sample: `values` (null: missing) and `times` have an item for each of the `count` values and
    `missing` nulls."""

    id: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None
    description: str | None
    count: int
    missing: int
    start: str | None
    end: str | None
    values: list[float | None]
    times: list[str]


class SeriesMetrics(TimeMetrics, frozen=True, kw_only=True):
    """Metrics of a series over a range, with the times of its first and last sample there.

    `frequency` is null for a series that is not evenly sampled, and `frequency_missing` says why in a sentence.
    """

    id: str
    unit: str | None
    start: str | None
    end: str | None
    frequency: FrequencyMetrics | None
    frequency_missing: str | None


class SeriesQueries:
    """Reads series. Raises NotFoundError for a series of another tenant, an unknown one and a deleted one alike."""

    def __init__(self, store: Store, hidden: Hidden, applied: Callable[[str], Reach] = lambda _: ()) -> None:
        self._store, self._hidden = store, hidden
        self._indexes = SeriesIndexes(store, applied)
        self.rows, self.extents = SeriesRows(store), SeriesExtents(store)

    def list_series(self, tenant: str, query: SeriesQuery, removed: Collection[str] = ()) -> SeriesPage:
        """A page of the series that match. `removed`: the names of feeds that were removed."""
        if query.is_search:
            return self._search(tenant, query, removed)
        feed, name, field, series = query.cursor or ("", "", "", 0)
        rows = self._store.rows(
            "series_page",
            after_feed=feed,
            after_name=name,
            after_field=field,
            after_series=series,
            limit=query.limit + 1,
            **self._filters(tenant, query),
        )
        page = with_extents(self.extents, tenant, rows[: query.limit])
        last = page[-1] if len(rows) > len(page) else None
        after = encode_cursor(last["feed"], last["name"], last["field"], last["series"]) if last else None
        return SeriesPage([_item(row, row["feed"] in removed) for row in page], after)

    def _search(self, tenant: str, query: SeriesQuery, removed: Collection[str]) -> SeriesPage:
        options = SearchOptions(
            words=query.q,
            sort=query.sort or ("match" if query.q else "feed"),
            facets=query.facets,
            after=query.cursor or BEFORE_ALL,
            limit=query.limit,
        )
        filters = self._filters(tenant, query)
        matches = self._indexes.search(tenant, filters, options) or search_series(self._store, filters, options)
        keys = matches.keys[: query.limit]
        rows = series_details(self._store, tenant, keys, self.extents if query.extent else None)
        after = encode_cursor(*keys[-1]) if len(matches.keys) > len(keys) else None
        items = [_item(row, row["feed"] in removed) for row in rows]
        return SeriesPage(items, after, matches.total, matches.facets)

    def count_series(self, tenant: str, query: SeriesFilter) -> SeriesCount:
        """How many series match."""
        return msgspec.convert(self._store.rows("series_count", **self._filters(tenant, query))[0], SeriesCount)

    def describe(self, tenant: str, series: str) -> Description:
        """The definition of the series of this id."""
        try:
            number = parse_series(series)
        except ValueError:
            raise _unknown(series) from None
        row = None if number in self._hidden(tenant) else self.rows.row(tenant, number)
        if row is None:
            raise _unknown(series)
        return msgspec.convert({**row, "series": number}, Description)

    def generation(self, series: str) -> Generation | None:
        """The generation of what the store has of the series of this id; null while a write is under way."""
        try:
            return generation_of(self._store.generations, [parse_series(series)])
        except ValueError:
            return None

    def read_series(self, tenant: str, series: str, query: FullSeriesQuery) -> Page:
        """Every sample of a series (FullSeries as JSON, else rows of `time` and `value`), streamed from the store.

        Raises LimitError for JSON of more than MAX_ARRAY_SAMPLES samples; other formats have no limit.
        """
        described = self.describe(tenant, series)
        bound: dict[str, Any] = {"tenant": tenant, "series": described.series, "deleted_seq": described.deleted_seq}
        kind, span = query.format, time_range(None, None)
        if kind in answers.COLUMNAR:
            words: dict[str, Any] = {"kind": kind, "zone": "UTC", "quality": quality_params(None, None)}
            chosen = {described.series: described.deleted_seq}
            return points_file(self._store, tenant, chosen, span, **words, nulls=True, names=False)
        bound |= {"first": span.first_ns, "last": span.last_ns}
        if kind != "json":
            whole = {"first_ordinal": -(2**63), "last_ordinal": 2**63 - 1, "good": 0, "mark": ""}
            text = self._store.stream("points_text", answers.STORE_ROWS[kind], **bound, **whole, tz="UTC")
            head = csv_head(("time", "value")) if kind == "csv" else b""
            return Page(with_head(head, text), answers.MEDIA_TYPES[kind])
        self._check_size(tenant, series, described)
        samples = self._store.stream("series_samples", "RowBinary", **bound)
        return Page(samples_document(_head(described), samples))

    def _check_size(self, tenant: str, series: str, described: Description) -> None:
        """Raises LimitError above MAX_ARRAY_SAMPLES. Samples are counted only where rows of the table, of which some
        may be replaced or deleted, do not show that they fit: that takes a hundredth of the time."""
        bound = {"tenant": tenant, "series": described.series}
        if self._store.rows("series_rows", **bound)[0]["rows"] > MAX_ARRAY_SAMPLES:
            counted = self._store.rows("series_sample_count", **bound, deleted_seq=described.deleted_seq)[0]
            _check_samples(counted["samples"], series)

    def arrays(self, tenant: str, described: Description, query: MetricsQuery) -> tuple[Integers, Floats]:
        """Times and values (NaN: missing) of the samples in [start, end). Raises LimitError above MAX_ARRAY_SAMPLES."""
        span = time_range(query.start, query.end)
        frame = samples_frame(self._store, tenant, described, span, MAX_ARRAY_SAMPLES + 1)
        _check_samples(len(frame), format_series(described.series))
        times, values = in_time_order(frame["ns"].to_numpy(), frame["value"].to_numpy())  # null becomes NaN
        return times, values.astype(np.float64, copy=False)

    def _filters(self, tenant: str, query: SeriesFilter) -> dict[str, Any]:
        return {
            "tenant": tenant,
            "hidden": sorted(self._hidden(tenant)),
            "feed": query.feed or "",
            "field": query.field or "",
            "name": query.name or "",
            "tag_keys": list(query.tags),
            "tag_values": list(query.tags.values()),
        }


def series_metrics(
    described: Description, times: Integers, of_time: TimeMetrics, frequency: Any, missing: str
) -> SeriesMetrics:
    """The metrics of samples at `times`: `of_time`, and `frequency` with the members of FrequencyMetrics, or None, and
    then `missing` says why."""
    return SeriesMetrics(
        id=format_series(described.series),
        unit=described.unit or None,
        start=format_instant(int(times[0])) if len(times) else None,
        end=format_instant(int(times[-1])) if len(times) else None,
        frequency=frequency,
        frequency_missing=missing or None,
        **msgspec.structs.asdict(of_time),
    )


def in_time_order(times: Any, values: Any) -> tuple[Any, Any]:
    """Both columns sorted by time; the same arrays where they are sorted already."""
    if bool((times[1:] >= times[:-1]).all()):
        return times, values
    order = np.argsort(times, kind="stable")
    return times[order], values[order]


def _item(row: dict[str, Any], removed: bool) -> SeriesItem:
    number = row.pop("series")
    item = {**row, "id": format_series(number), "unit": row["unit"] or None, "removed": removed}
    return msgspec.convert(item, SeriesItem)


def _head(described: Description) -> dict[str, Any]:
    """The members of FullSeries that do not follow from the samples."""
    return {
        "id": format_series(described.series),
        "feed": described.feed,
        "name": described.name,
        "field": described.field,
        "tags": described.tags,
        "unit": described.unit or None,
        "description": described.description or None,
    }


def _check_samples(count: int, series: str) -> None:
    if count > MAX_ARRAY_SAMPLES:
        raise LimitError(
            "max_array_samples",
            MAX_ARRAY_SAMPLES,
            f"The series has {count} samples or more, and at most {MAX_ARRAY_SAMPLES} fit; ask"
            f" /v1/series/{series}/points for a range, for windows (every=1m), or page by page",
        )


def _unknown(series: str) -> NotFoundError:
    return NotFoundError(f"there is no series '{series[:64]}'")
