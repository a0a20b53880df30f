"""What questions of `POST /v1/query` share with `GET /v1/points`: pages, evidence, thinned points, and tags."""

import json
import random
from typing import Any

import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, book, document, queries, whole
from tests.query.test_gaps import NOW, PUSHED
from tests.query.test_many_points import read_file
from tidemill.api.query_body import decode_question
from tidemill.errors import InputError
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.store.client import Store

HOUR = 3600 * SECOND
DAY = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
SITES = {"p1": "north", "p2": "north", "p3": "south"}


@pytest.fixture
def pumps(writer: Writer) -> dict[str, str]:
    """The ids of three pumps at two sites, with a point for each quarter of an hour of a day, of which some lack."""
    rng, keys = random.Random(11), dict[str, str]()
    for pump, site in SITES.items():
        keys[pump] = writer.series("pumps", "pressure", {"pump": pump, "site": site})
        at = [START + n * HOUR // 4 for n in range(96) if rng.random() < 0.6]
        writer.points(keys[pump], at, [float(rng.randint(-9, 9)) for _ in at], marks=["steep"] if pump == "p2" else [])
    return keys


def read(store: Store, known: tuple[str, ...] = (), **body: Any) -> Any:
    question = decode_question(json.dumps({"select": {"feed": "pumps"}} | body).encode())
    return queries(store, book=book(pumps=PUSHED)).questions.read_page("default", question, NOW, known)


def points(store: Store, **given: str) -> Any:
    query = asked(ManyPointsQuery, **{"feed": "pumps"} | given)
    return document(queries(store, book=book(pumps=PUSHED)).many_points.read_many("default", query, NOW))


@pytest.mark.parametrize("more", [{}, {"fill": "previous"}, {"evidence": True}, {"expressions": {"b": "pressure * 2"}}])
def test_pages_of_any_length_are_the_whole_answer(store: Store, pumps: dict[str, str], more: dict[str, Any]) -> None:
    body: dict[str, Any] = {
        **DAY,
        "every": "1h",
        "agg": ["median", "count"],
        "group_by": ["site"],
        "across": "sum",
    } | more
    answer = document(read(store, **body))
    assert answer["next"] is None
    for limit in (7, 24):
        cursor, pages = None, []
        while not pages or cursor is not None:
            pages.append(document(read(store, **body, limit=limit, **({"cursor": cursor} if cursor else {}))))
            cursor = pages[-1]["next"]
        assert len(pages) == -(-len(answer["time"]) // limit)
        assert [time for page in pages for time in page["time"]] == answer["time"]
        for at, item in enumerate(answer["items"]):
            for part in ("columns", "evidence"):
                for name, values in (item[part] or {}).items():
                    joined = [value for page in pages for value in page["items"][at][part][name]]
                    assert joined == values, (limit, name)


def test_evidence_is_added_up_over_the_series_of_a_group(store: Store, pumps: dict[str, str]) -> None:
    question: dict[str, Any] = {**DAY, "every": "30m", "evidence": True, "group_by": ["site"], "across": "sum"}
    answer = document(read(store, **question, expressions={"double": "2 * pressure"}))
    alone = points(store, every="30m", evidence="true", **DAY)
    gaps = [sorted(found["gaps"], key=lambda gap: (gap["series"], gap["start"])) for found in (answer, alone)]
    assert gaps[0] == gaps[1] and gaps[0]
    of_series = {item["id"]: item["evidence"] for item in alone["series"]}
    items = {(item["name"], item["tags"]["site"]): item for item in answer["items"]}
    for (name, site), item in items.items():
        own = [of_series[key] for pump, key in pumps.items() if SITES[pump] == site]
        for column, values in item["evidence"].items():
            assert values == [sum(row) for row in zip(*(series[column] for series in own), strict=True)], (name, column)
    assert sum(items["pressure", "north"]["evidence"]["flagged"]) > 0


def test_thinned_points_of_groups_are_those_of_their_series(store: Store, pumps: dict[str, str]) -> None:
    body = {**DAY, "points": 12, "thin": "minmax"}
    answer = document(read(store, **body))
    alone = {item["id"]: item for item in points(store, points="12", thin="minmax", **DAY)["series"]}
    assert answer["time"] == [] and len(answer["items"]) == 3
    for item in answer["items"]:
        own = alone[item["series"][0]]
        assert (item["times"], item["columns"], item["thinned_from"]) == (
            own["times"], own["columns"], own["thinned_from"],
        )  # fmt: skip
    frame = read_file(whole(read(store, **body, format="parquet")), "parquet")
    assert frame["value"].to_list() == [value for item in answer["items"] for value in item["columns"]["value"]]
    assert frame.columns == ["name", "tag.pump", "tag.site", "time", "value"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"points": 12, "thin": "minmax", "group_by": ["site"], "across": "sum"}, "$.group_by"),
        ({"points": 12, "thin": "minmax", "expressions": {"a": "pressure + 1"}}, "$.expressions"),
        ({"every": "1h", "limit": 5, "format": "csv"}, "$.limit"),
        ({"every": "1h", "cursor": "x"}, "$.cursor"),
        ({"every": "1h", "limit": 0}, "$.limit"),
        ({"agg": "mean", "evidence": True}, "$.evidence"),
        ({"thin": "minmax"}, "$.thin"),
        ({"start": "5", "every": "1h"}, "$.start"),
    ],
)
def test_each_contradiction_names_its_member(
    store: Store, pumps: dict[str, str], body: dict[str, Any], path: str
) -> None:
    with pytest.raises(InputError) as refused:
        read(store, **body)
    assert path in [fault.path for fault in refused.value.faults]


def test_an_answer_of_a_closed_range_is_read_again_only_after_a_change(
    store: Store, writer: Writer, pumps: dict[str, str]
) -> None:
    bodies: list[dict[str, Any]] = [
        {**DAY, "every": "1h", "agg": "last"},
        {**DAY, "every": "2h", "expressions": {"a": "pressure + 1"}},
        {**DAY, "every": "2h", "limit": 3},
        {**DAY, "points": 12, "thin": "lttb"},
    ]
    tags = [read(store, **body).etag for body in bodies]
    assert None not in tags and len(set(tags)) == len(bodies)
    for body, tag in zip(bodies, tags, strict=True):
        assert read(store, (tag,), **body).unchanged and not read(store, ("other",), **body).unchanged
    writer.points(pumps["p1"], [START + HOUR], [100.0], seq=9)
    assert not any(read(store, (tag,), **body).unchanged for body, tag in zip(bodies, tags, strict=True))
    assert read(store, every="1h").etag is None
    assert read(store, **DAY, every="1h", evidence=True).etag is None
