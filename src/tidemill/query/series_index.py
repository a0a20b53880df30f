"""Search of the series of tenants with many of them, in memory: the store needs 100 ms of processor time to search
100,000 series, which is too long for an answer while somebody types.

An index is a copy of the table of series, a few seconds old while payloads are being applied: a series that is new is
found that much later. Its keys are looked up in the store, so no answer has a series that was deleted; and an index of
before a deletion answers nothing, so that totals and facets do not count what was deleted. A tenant with few series has
no index: there the store is asked.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.errors import TidemillError
from tidemill.model.offset import Reach
from tidemill.query.series_search import FACET_VALUES, FacetValue, SearchOptions, SeriesKey, SeriesMatches
from tidemill.store.client import Store

MANY: Final = 3_000  # series from which on a tenant has an index
MOST: Final = 1_000_000  # and up to which, also of all indexes together: some 300 bytes each
TENANTS: Final = 4  # that have an index at a time: those that searched last
REFRESH_S: Final = 2.0
_IDLE_REFRESH_S: Final = 30.0  # while nothing is applied: a replay can make series, too
_TOO_MANY_REFRESH_S: Final = 600.0  # of a tenant with more than MOST: reading so many only says that again
STALE_S: Final = 60.0  # an index that was not used for so long answers nothing: it is as old as its last use
_COST: Final = 10  # an index is not loaded more often than every so many times as long as loading took
_TAG: Final = "tag."
_log = logging.getLogger(__name__)


class _Index(msgspec.Struct, frozen=True):
    """The series of a tenant when `reach` was applied, and the hash of those that were deleted by then; `frame` null:
    they are too few or `too_many` for an index."""

    reach: Reach
    deleted: str
    frame: pl.DataFrame | None
    too_many: bool
    loaded_at: float
    took_s: float

    @property
    def rows(self) -> int:
        """How many series it has in memory."""
        return 0 if self.frame is None else self.frame.height


class SeriesIndexes:
    """The indexes over one store. `applied` gives a tenant's applied offset in each partition. Thread-safe."""

    def __init__(self, store: Store, applied: Callable[[str], Reach]) -> None:
        self._store, self._applied = store, applied
        self._indexes: dict[str, _Index] = {}
        self._loading: set[str] = set()
        self._lock = threading.Lock()

    def search(self, tenant: str, filters: Mapping[str, Any], options: SearchOptions) -> SeriesMatches | None:
        """What `search_series` answers; null where the tenant has no index (it may have one a moment later)."""
        with self._lock:
            index = self._indexes.pop(tenant, None)
            if index is not None:
                self._indexes[tenant] = index  # the last of them searched last
        if index is None or self._is_old(tenant, index):
            self._load_beside(tenant)
        if index is None or index.frame is None or _is_stale(index) or self._lacks_deletion(tenant, index):
            return None
        return _matches(index.frame, filters, options)

    def _is_old(self, tenant: str, index: _Index) -> bool:
        age = time.monotonic() - index.loaded_at
        if index.too_many:
            return age > _TOO_MANY_REFRESH_S
        unchanged = index.reach == self._applied(tenant)
        return age > max(_IDLE_REFRESH_S if unchanged else REFRESH_S, _COST * index.took_s)

    def _lacks_deletion(self, tenant: str, index: _Index) -> bool:
        """Whether series were deleted since the index was loaded. Asks the store only if something was applied."""
        return index.reach != self._applied(tenant) and index.deleted != self._deleted(tenant)

    def _deleted(self, tenant: str) -> str:
        return str(self._store.rows("series_deleted", tenant=tenant)[0]["hash"])

    def _load_beside(self, tenant: str) -> None:
        """Load the index of a tenant in a thread, unless that is under way."""
        with self._lock:
            if tenant in self._loading:
                return
            self._loading.add(tenant)
        threading.Thread(target=self._load, args=(tenant,), name="series-index", daemon=True).start()

    def _load(self, tenant: str) -> None:
        begun, reach = time.monotonic(), self._applied(tenant)
        try:
            deleted = self._deleted(tenant)  # before the series are read
            rows = self._store.frame("series_words", tenant=tenant, limit=MOST + 1)
            frame = _indexed(rows) if MANY <= rows.height <= MOST else None
            now = time.monotonic()
            with self._lock:
                self._indexes.pop(tenant, None)
                self._indexes[tenant] = _Index(reach, deleted, frame, rows.height > MOST, now, now - begun)
                while len(self._indexes) > TENANTS or sum(each.rows for each in self._indexes.values()) > MOST:
                    del self._indexes[next(iter(self._indexes))]
        except TidemillError as error:
            _log.info("the series of a tenant cannot be read for searches: %s", error)
        finally:
            with self._lock:
                self._loading.discard(tenant)


def _is_stale(index: _Index) -> bool:
    """Whether an index is so old that it was not searched for long: while it is, it is loaded again and again."""
    return time.monotonic() - index.loaded_at > max(STALE_S, 2 * _COST * index.took_s)


def _indexed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `series_words` with `text`, in which a search looks, and `starts`, of which each part begins anew."""
    values = pl.col("tag_values").list.join("\n")
    parts = [pl.col("name"), pl.col("field"), values]
    return rows.with_columns(
        text=pl.concat_str([*parts, pl.col("feed")], separator="\n").str.to_lowercase(),
        starts=pl.concat_str([pl.lit(""), *parts], separator="\n").str.to_lowercase(),
    )


def _matches(frame: pl.DataFrame, filters: Mapping[str, Any], options: SearchOptions) -> SeriesMatches:
    chosen = frame.lazy().filter(_conditions(filters, options)).collect()
    keys = _keys(chosen, options)
    first, second, third, series = options.after
    after = (pl.col("k1"), pl.col("k2"), pl.col("k3"), pl.col("series"))
    if options.after != ("", "", "", 0):
        bound = (first, second, third, series)
        keys = keys.filter(_greater(after, bound))
    page = keys.head(options.limit + 1)
    rows: list[SeriesKey] = list(page.select("k1", "k2", "k3", "series").iter_rows())
    return SeriesMatches(rows, chosen.height, _facets(chosen, options))


def _conditions(filters: Mapping[str, Any], options: SearchOptions) -> list[pl.Expr]:
    wanted = [pl.col("text").str.contains(word.lower(), literal=True) for word in options.words]
    wanted += [pl.col(name) == filters[name] for name in ("feed", "field", "name") if filters[name]]
    for key, value in zip(filters["tag_keys"], filters["tag_values"], strict=True):
        at = pl.col("tag_keys").list.eval(pl.element() == key).list.arg_max()
        wanted += [pl.col("tag_keys").list.contains(key), pl.col("tag_values").list.get(at, null_on_oob=True) == value]
    if filters["hidden"]:
        wanted.append(~pl.col("series").is_in(list(filters["hidden"])))
    return wanted or [pl.lit(True)]


def _keys(chosen: pl.DataFrame, options: SearchOptions) -> pl.DataFrame:
    """What each of the chosen series is sorted by, in order. They come by feed, name, field and id."""
    if options.sort == "name":
        return chosen.select(k1="name", k2="feed", k3="field", series="series").sort("k1", "k2", "k3", "series")
    if options.sort != "match" or not options.words:
        return chosen.select(k1="feed", k2="name", k3="field", series="series")
    word = options.words[0].lower()
    begins = pl.col("starts").str.contains(f"\n{word}", literal=True)
    of_word = pl.col("starts").str.contains(f" {word}", literal=True)
    rank = pl.when(begins).then(pl.lit("0")).when(of_word).then(pl.lit("1")).otherwise(pl.lit("2"))
    ranked = chosen.select("feed", "name", "field", "series", rank=rank)
    parts = [ranked.filter(pl.col("rank") == level) for level in "012"]
    return pl.concat(parts).select(k1=pl.col("rank") + pl.col("feed"), k2="name", k3="field", series="series")


def _greater(columns: tuple[pl.Expr, ...], bounds: tuple[Any, ...]) -> pl.Expr:
    """Whether the columns are after the bounds, compared as tuples."""
    (column, *others), (bound, *further) = columns, bounds
    after: pl.Expr = column > bound
    if others:
        after |= (column == bound) & _greater(tuple(others), tuple(further))
    return after


def _facets(chosen: pl.DataFrame, options: SearchOptions) -> dict[str, list[FacetValue]]:
    counted = {name: _most_frequent(chosen[name]) for name in ("feed", "field") if name in options.facets}
    tags = [name.removeprefix(_TAG) for name in options.facets if name.startswith(_TAG)]
    if not tags:
        return counted
    pairs = chosen.select(tag="tag_keys", value="tag_values").explode("tag", "value").drop_nulls("tag")
    names = sorted({*tags, *(pairs["tag"].unique() if "*" in tags else ())} - {"*"})
    return counted | {f"{_TAG}{name}": _most_frequent(pairs.filter(pl.col("tag") == name)["value"]) for name in names}


def _most_frequent(values: pl.Series) -> list[FacetValue]:
    counts = values.alias("value").value_counts(name="n")
    top = counts.sort("n", "value", descending=[True, False]).head(FACET_VALUES)
    return [FacetValue(value, count) for value, count in top.select("value", "n").iter_rows()]
