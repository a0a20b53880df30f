"""Search of series by words: the best matches first, how many match in all, and how many have each value (facets).

One pass over the table of series counts the matches by feed and field and finds the page; facets of tags take another
one. Counts and times of points are read for the series of the page only, and only if asked for.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidemill.model.time import format_instant
from tidemill.query import readers
from tidemill.query.series_extents import Extent, SeriesExtents
from tidemill.store.client import Store

MAX_WORDS: Final = 8
MAX_FACETS: Final = 20
FACET_VALUES: Final = 20  # of a facet: the most frequent
SHORT_PAGE: Final = 100  # up to this limit the store keeps 101 keys, and beyond 1001
_TAG: Final = "tag."
SeriesKey = tuple[str, str, str, int]  # what a search is sorted by; the last is the series
BEFORE_ALL: Final[SeriesKey] = ("", "", "", 0)


def read_words(text: str, _: readers.Context) -> tuple[str, ...]:
    """Up to MAX_WORDS words, separated by blanks."""
    parts = tuple(text.split())
    if not parts:
        raise ValueError("must have a word; leave it out to search nothing")
    if len(parts) > MAX_WORDS:
        raise ValueError(f"has {len(parts)} words, and at most {MAX_WORDS} can be searched")
    return parts


def read_facets(text: str, _: readers.Context) -> tuple[str, ...]:
    """Names of facets, separated by commas: `feed`, `field`, `tag.NAME`, or `tag.*` for every tag."""
    names = text.split(",")
    if len(names) > MAX_FACETS:
        raise ValueError(f"at most {MAX_FACETS} facets at a time")
    return readers.read_each([name.strip() for name in names], _facet)


def _facet(name: str) -> str:
    if name not in ("feed", "field") and not (name.startswith(_TAG) and len(name) > len(_TAG)):
        raise ValueError(f"'{name[:40]}' is not a facet; facets are feed, field, tag.NAME and tag.*")
    return name


class FacetValue(msgspec.Struct, frozen=True):
    """A value of a facet, and how many of the series or rejected records that match have it."""

    value: str
    count: int


class SearchOptions(msgspec.Struct, frozen=True):
    """What is searched beside the filters: `words`, all of which must match; `sort`; the facets; the page."""

    words: Sequence[str]
    sort: str
    facets: Sequence[str]
    after: SeriesKey
    limit: int


class SeriesMatches(msgspec.Struct, frozen=True):
    """The keys of a page, at most one more than its limit, in order; how many series match in all; and the facets."""

    keys: list[SeriesKey]
    total: int
    facets: dict[str, list[FacetValue]]


def search_series(store: Store, filters: Mapping[str, Any], options: SearchOptions) -> SeriesMatches:
    """The series that match the filters (the parameters of `series_page`) and the words."""
    first, second, third, series = options.after
    chosen = {**filters, "words": list(options.words)}
    groups = store.rows(
        "series_search" if options.limit <= SHORT_PAGE else "series_search_long",
        sort=options.sort,
        first=options.words[0] if options.words else "",
        after_first=first,
        after_second=second,
        after_third=third,
        after_series=series,
        **chosen,
    )
    keys = sorted((key[0], key[1], key[2], int(key[3])) for row in groups for key in row["keys"])
    counted: dict[str, list[FacetValue]] = {}
    for name in ("feed", "field"):
        if name in options.facets:
            counted[name] = _counted((row[name], row["n"]) for row in groups)
    tags = [name.removeprefix(_TAG) for name in options.facets if name.startswith(_TAG)]
    if tags:
        counted |= _tag_facets(store, chosen, tags)
    return SeriesMatches(keys[: options.limit + 1], sum(row["n"] for row in groups), counted)


def _tag_facets(store: Store, chosen: Mapping[str, Any], tags: Collection[str]) -> dict[str, list[FacetValue]]:
    """The values of each tag, the most frequent first; of every tag that the series have where `*` is among them."""
    named = [] if "*" in tags else list(tags)
    rows = store.rows("series_tag_facets", **chosen, facet_tags=named, values=FACET_VALUES)
    names = {*tags, *(row["tag"] for row in rows)} - {"*"}
    counted: dict[str, list[FacetValue]] = {f"{_TAG}{name}": [] for name in sorted(names)}
    for row in rows:
        counted[f"{_TAG}{row['tag']}"].append(FacetValue(row["value"], row["n"]))
    return counted


def _counted(pairs: Any) -> list[FacetValue]:
    """The sum of each value, the most frequent first."""
    sums: dict[str, int] = {}
    for value, count in pairs:
        sums[value] = sums.get(value, 0) + count
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [FacetValue(value, count) for value, count in ordered[:FACET_VALUES]]


def series_details(
    store: Store, tenant: str, keys: Sequence[SeriesKey], extents: SeriesExtents | None
) -> list[dict[str, Any]]:
    """The rows of the series of these keys, in their order, with the counts and times of their points; null without
    `extents`. A series that was deleted meanwhile is left out."""
    ids = [key[3] for key in keys]
    if not ids:
        return []
    rows = {row["series"]: row for row in store.rows("series_by_ids", tenant=tenant, series=ids)}
    present = [rows[series] for series in ids if series in rows]
    if extents is not None:
        return with_extents(extents, tenant, present)
    return [_with_extent(row, None) for row in present]


def with_extents(extents: SeriesExtents, tenant: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of series, with the counts and times of their points instead of `deleted_seq`."""
    known = extents.read(tenant, {row["series"]: row["deleted_seq"] for row in rows}) if rows else {}
    return [_with_extent(row, known[row["series"]]) for row in rows]


def _with_extent(row: dict[str, Any], extent: Extent | None) -> dict[str, Any]:
    times = (None, None) if extent is None else (extent.first_ns, extent.last_ns)
    first, last = (None if ns is None else format_instant(ns) for ns in times)
    counts = (None, None) if extent is None else (extent.count, extent.missing)
    whole = {**row, "count": counts[0], "missing": counts[1], "first": first, "last": last}
    del whole["deleted_seq"]
    return whole
