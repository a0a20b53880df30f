"""Search of series: words of any case in names, fields and tags; totals, facets, pages."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.query.conftest import Writer
from tests.query.support import START, asked, queries
from tidemill.errors import InputError
from tidemill.query import series_index
from tidemill.query.series import SeriesPage, SeriesQuery
from tidemill.store.client import Store


@pytest.fixture
def areas(store: Store, writer: Writer) -> Iterator[Any]:
    for number in range(12):
        tags = {"pump": f"p{number}", "site": "Plant North" if number % 2 else "Plant Süd"}
        key = writer.series("pumps", "bar" if number < 8 else "flow", tags, name=f"Pressure {number}")
        if number == 3:
            writer.points(key, [START, START + 5], [1.0, None])
    writer.series("meters", "kwh", {"meter": "pressing 7"}, name="")
    Writer(store, "other").series("pumps", "bar", {"pump": "p3"}, name="Pressure 3")
    yield queries(store).series


def search(areas: Any, **given: str) -> SeriesPage:
    page: SeriesPage = areas.list_series("default", asked(SeriesQuery, **given))
    return page


def names(page: SeriesPage) -> list[str]:
    return [item.name for item in page.items]


def test_every_word_must_match_somewhere_whatever_its_case(areas: Any) -> None:
    assert names(search(areas, q="PRESSURE 3")) == ["Pressure 3"]
    assert names(search(areas, q="p3")) == ["Pressure 3"]
    assert len(search(areas, q="SÜD").items) == 6
    assert len(search(areas, q="plant flow").items) == 4
    assert search(areas, q="plant kwh").items == []
    assert [item.feed for item in search(areas, q="ressing").items] == ["meters"]
    assert search(areas, q="%").items == search(areas, q="p.*").items == []


def test_what_begins_with_the_word_comes_first(areas: Any) -> None:
    page = search(areas, q="press", limit="20")
    assert page.total == 13
    assert {item.feed for item in page.items} == {"pumps", "meters"}
    north = search(areas, q="north", limit="20")
    assert [item.tags["site"] for item in north.items] == ["Plant North"] * 6


def test_total_and_facets_are_of_all_that_match(areas: Any) -> None:
    page = search(areas, q="pump", facets="feed,field,tag.*", limit="2")
    assert (len(page.items), page.total) == (2, 12)
    facets = {name: {v.value: v.count for v in values} for name, values in (page.facets or {}).items()}
    assert facets["feed"] == {"pumps": 12}
    assert facets["field"] == {"bar": 8, "flow": 4}
    assert facets["tag.site"] == {"Plant North": 6, "Plant Süd": 6}
    assert len(facets["tag.pump"]) == 12
    one = search(areas, facets="tag.site,tag.none", tag__site="Plant Süd").facets or {}
    assert msgspec.to_builtins(one) == {"tag.site": [{"value": "Plant Süd", "count": 6}], "tag.none": []}


@pytest.mark.parametrize("sort", ["feed", "name", "match"])
def test_pages_neither_repeat_nor_hide_a_series(areas: Any, sort: str) -> None:
    whole = search(areas, q="press", sort=sort, limit="100").items
    paged, cursor = [], None
    for _ in range(20):
        page = search(areas, q="press", sort=sort, limit="3", **({"cursor": cursor} if cursor else {}))
        assert page.total == 13
        paged += page.items
        cursor = page.next
        if cursor is None:
            break
    assert paged == whole
    assert len(whole) == 13


def test_counts_and_times_of_points_are_those_of_the_list(areas: Any) -> None:
    listed = {item.id: item for item in search(areas).items}
    assert {item.id: item for item in search(areas, sort="name").items} == listed
    bare = search(areas, q="p3", extent="false").items[0]
    assert (bare.count, bare.missing, bare.first, bare.last) == (None, None, None, None)
    assert (listed[bare.id].count, listed[bare.id].missing) == (1, 1)


def load_index(areas: Any) -> None:
    """Search once, and wait for the index that this has loaded."""
    search(areas, q="any")
    deadline = time.monotonic() + 60
    while "default" not in areas._indexes._indexes and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_index_of_many_series_answers_as_the_store(
    areas: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_index(areas)  # few series: none
    monkeypatch.setattr(series_index, "MANY", 1)
    indexed = queries(store).series
    load_index(indexed)
    assert areas._indexes._indexes["default"].frame is None
    assert indexed._indexes._indexes["default"].frame is not None
    for q in ("PRESS", "süd 1", "bar", "zzz"):
        for sort in ("feed", "name", "match"):
            given = {
                "q": q,
                "sort": sort,
                "limit": "7",
                "extent": "false",
                "facets": "feed,field,tag.*,tag.pump,tag.none",
            }
            for more in ({}, {"feed": "pumps", "tag__site": "Plant Süd"}):
                cursor: dict[str, str] = {}
                for _ in range(3):
                    page = search(indexed, **given, **more, **cursor)
                    assert page == search(areas, **given, **more, **cursor), (q, sort, more)
                    if page.next is None:
                        break
                    cursor = {"cursor": page.next}


def test_an_index_gives_no_deleted_series(
    areas: Any, store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_index, "MANY", 1)
    load_index(areas)
    page = search(areas, q="pressure", limit="100")
    deleted = next(item for item in page.items if item.name == "Pressure 3")
    writer.series("pumps", "bar", deleted.tags, name="Pressure 3", deleted=True, deleted_seq=9, version=9)
    assert "Pressure 3" not in names(search(areas, q="pressure", limit="100"))


def test_an_index_from_before_a_deletion_counts_nothing_that_was_deleted(
    areas: Any, store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_index, "MANY", 1)
    monkeypatch.setattr(series_index, "_COST", 10**9)  # it is not loaded again
    reach = [7]
    indexed = queries(store, applied=lambda _: tuple(reach)).series
    load_index(indexed)
    given = {"q": "pressure", "limit": "3", "facets": "field"}
    before = search(indexed, **given)
    deleted = next(item for item in search(indexed, q="pressure", limit="100").items if item.name == "Pressure 3")
    writer.series("pumps", "bar", deleted.tags, name="Pressure 3", deleted=True, deleted_seq=9, version=9)
    reach[0] = 9
    after = search(indexed, **given)
    assert after.total == before.total - 1
    assert after.facets == search(areas, **given).facets != before.facets


def test_an_index_that_was_not_searched_for_long_answers_nothing(
    areas: Any, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_index, "MANY", 1)
    load_index(areas)
    deleted = next(item for item in search(areas, q="pressure", limit="100").items if item.name == "Pressure 3")
    writer.series("pumps", "bar", deleted.tags, name="Pressure 3", deleted=True, deleted_seq=9, version=9)
    writer.series("pumps", "bar", {"pump": "new"}, name="Pressure new")
    index = areas._indexes._indexes["default"]
    areas._indexes._indexes["default"] = msgspec.structs.replace(index, loaded_at=index.loaded_at - 3600)
    page = search(areas, q="pressure", facets="tag.pump", limit="100")
    values = {facet.value for facet in (page.facets or {})["tag.pump"]}
    assert (page.total, "p3" in values, "new" in values) == (12, False, True)


def test_all_indexes_together_are_bounded(areas: Any, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_index, "MANY", 1)
    monkeypatch.setattr(series_index, "MOST", 20)
    for tenant in ("one", "two"):
        for number in range(12):
            Writer(writer.store, tenant).series("pumps", "bar", {"pump": f"p{number}"}, name=f"Pump {number}")
        areas.list_series(tenant, asked(SeriesQuery, q="pump"))
        deadline = time.monotonic() + 60
        while tenant not in areas._indexes._indexes and time.monotonic() < deadline:
            time.sleep(0.01)
    assert list(areas._indexes._indexes) == ["two"]


def test_a_faulty_search_is_refused_by_name(areas: Any) -> None:
    for given, path in (
        ({"q": "   "}, "$query.q"),
        ({"q": "a b c d e f g h i"}, "$query.q"),
        ({"facets": "feed,colour"}, "$query.facets[1]"),
        ({"facets": "tag."}, "$query.facets[0]"),
        ({"sort": "size"}, "$query.sort"),
        ({"extent": "maybe"}, "$query.extent"),
    ):
        with pytest.raises(InputError) as caught:
            search(areas, **given)
        assert [fault.path for fault in caught.value.faults] == [path]
