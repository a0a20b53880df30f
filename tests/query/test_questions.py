"""Questions of `POST /v1/query`: groups, what series of a group become, and arithmetic; against the real engine."""

import json
import operator
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, queries, whole
from tests.query.test_many_points import read_file
from tidemill.api.query_body import decode_question
from tidemill.errors import InputError, LimitError
from tidemill.query.answers import Page
from tidemill.query.question_files import AnswerColumns
from tidemill.query.questions import Answer
from tidemill.store.client import Store

HOUR = 3600 * SECOND
NOW = START + 10 * 24 * HOUR
METERS = {"m1": "north", "m2": "north", "m3": "south"}


@pytest.fixture
def energy(writer: Writer) -> dict[tuple[str, str], list[float | None]]:
    """Import of three meters at two sites, and export of two of them, by the hour; some hours are missing."""
    rng, kept = random.Random(7), {}
    for field in ("import", "export"):
        for meter, site in METERS.items():
            if (field, meter) == ("export", "m3"):
                continue
            values = [None if rng.random() < 0.2 else float(rng.randint(0, 5)) for _ in range(24)]
            key = writer.series("energy", field, {"meter": meter, "site": site})
            writer.points(key, [START + n * HOUR for n in range(24)], values)
            kept[field, meter] = values
    return kept


def items(store: Store, **body: Any) -> dict[tuple[str, str], AnswerColumns]:
    given = {"select": {"feed": "energy"}, "every": "1h"} | body
    question = decode_question(json.dumps({name: value for name, value in given.items() if value != ""}).encode())
    found = queries(store).questions.answer("default", question, NOW)
    assert isinstance(found, Answer)
    return {(item.name, " ".join(item.tags.values())): item for item in found.items}


def test_series_with_the_same_tags_belong_together(
    store: Store, energy: dict[tuple[str, str], list[float | None]]
) -> None:
    found = items(store, expressions={"net": "import - export", "share": "(import - export) / import"})
    assert {name for name, _ in found} == {"import", "export", "net", "share"}
    for meter in ("m1", "m2"):
        pairs = list(zip(energy["import", meter], energy["export", meter], strict=True))
        filled = [n for n in range(24) if any(energy[key][n] is not None for key in energy)]
        net = [None if None in pair else pair[0] - pair[1] for pair in pairs]  # type: ignore[operator]
        share = [None if a is None or b is None or a == 0 else (a - b) / a for a, b in pairs]
        assert found["net", f"{meter} north"].columns["mean"] == [net[n] for n in filled]
        assert found["share", f"{meter} north"].columns["mean"] == [share[n] for n in filled], "by zero is null"
    assert ("net", "m3 south") not in found, "a group without an export has no net"


OVER: dict[str, Callable[[list[float]], float]] = {"sum": sum, "min": min, "max": max}


@pytest.mark.parametrize("across", ["sum", "min", "max", "mean"])
def test_the_series_of_a_group_become_one(
    store: Store, energy: dict[tuple[str, str], list[float | None]], across: str
) -> None:
    found = items(store, group_by=["site"], across=across, agg=["mean", "count"])
    assert set(found) == {("import", "north"), ("import", "south"), ("export", "north")}
    combine = OVER.get(across, lambda values: sum(values) / len(values))
    filled = [n for n in range(24) if any(energy[key][n] is not None for key in energy)]
    for site in ("north", "south"):
        hours = zip(*(energy["import", meter] for meter, at in METERS.items() if at == site), strict=True)
        present = [[value for value in hour if value is not None] for hour in hours]
        columns = found["import", site].columns
        assert columns["count"] == [len(present[n]) for n in filled]
        assert columns["mean"] == [combine(present[n]) if present[n] else None for n in filled]


def test_several_series_of_a_group_do_not_become_one_unasked(
    store: Store, energy: dict[tuple[str, str], list[float | None]]
) -> None:
    with pytest.raises(
        InputError, match=r"'\w+' has 2 series in one group \(site=north\).* sum, mean, min, max"
    ) as refused:
        items(store, group_by=["site"])
    assert [fault.path for fault in refused.value.faults] == ["$.across"]


def test_selectors_have_names(store: Store, energy: dict[tuple[str, str], list[float | None]]) -> None:
    select = {
        "a": {"feed": "energy", "field": "import", "tags": {"meter": "m1"}},
        "b": {"feed": "energy", "tags": {"meter": "m3"}},
    }
    found = items(store, select=select, every="1d", agg="sum", group_by=[], expressions={"both": "a + 2 * b"})
    sums = [sum(value or 0.0 for value in energy["import", meter]) for meter in ("m1", "m3")]
    assert found["both", ""].columns["sum"] == [sums[0] + 2 * sums[1]]


def test_arithmetic_is_that_of_numbers(store: Store, energy: dict[tuple[str, str], list[float | None]]) -> None:
    """Random trees of `+ - * /`, parentheses and signs, against Python's own."""
    rng = random.Random(3)
    signs = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}

    def tree(depth: int) -> tuple[str, Callable[[float, float], float]]:
        if not depth:
            number = rng.choice([0.5, 2.0, 3.0])
            return rng.choice(
                [("import", lambda a, b: a), ("export", lambda a, b: b), (str(number), lambda a, b: number)]
            )
        (left, x), (right, y), sign = tree(depth - 1), tree(rng.randrange(depth)), rng.choice(list(signs))
        return f"({left} {sign} -{right})", lambda a, b: signs[sign](x(a, b), -y(a, b))

    trees = {f"e{n}": tree(rng.randint(1, 4)) for n in range(40)}
    trees = {name: (text, value) for name, (text, value) in trees.items() if "port" in text}
    both = {"group_by": ["meter"], "tags": {}}
    found = items(
        store, group_by=both["group_by"], fill="null", expressions={k: text for k, (text, _) in trees.items()}
    )
    for name, (text, value) in trees.items():
        for meter in ("m1", "m2"):
            if (name, meter) not in found:
                continue
            for n, got in enumerate(found[name, meter].columns["mean"]):
                a, b = energy["import", meter][n], energy["export", meter][n]
                try:
                    wanted = (
                        None
                        if (a is None and "import" in text) or (b is None and "export" in text)
                        else value(a or 0, b or 0)
                    )
                except ZeroDivisionError:
                    wanted = None
                assert got == (None if wanted is None else pytest.approx(wanted)), (text, a, b)


@pytest.mark.parametrize(
    "body,paths",
    [
        ({"select": {}}, ["$.select"]),
        ({"select": {"fed": "energy"}}, ["$.select.fed"]),
        ({"select": {"a": {"feed": 3}}}, ["$.select.a.feed"]),
        ({"select": {"a": {}}}, ["$.select.a.series"]),
        ({"select": {"series": ["zz"]}, "tz": "nowhere"}, ["$.select.series[0]", "$.tz"]),
        ({"every": ""}, ["$.every"]),
        ({"every": "1d", "points": 100}, ["$.points"]),
        ({"start": "yesterday"}, ["$.start"]),
        ({"agg": ["mean", "modes"]}, ["$.agg[1]"]),
        ({"across": "median"}, ["$.across"]),
        ({"expressions": {"n": "import - exprt", "import": "export"}}, ["$.expressions.n", "$.expressions.import"]),
        ({"expressions": {"n": "import <"}}, ["$.expressions.n"]),
        ({"expressions": {"n": "import < 3"}}, ["$.expressions.n"]),
        ({"expressions": {"n": "__import__('os')"}}, ["$.expressions.n"]),
        ({"expressions": {"n": "1 + 1"}}, ["$.expressions.n"]),
        ({"expressions": {"n": "import / export"}, "select": {"series": []}}, ["$.select.series"]),
    ],
)
def test_a_fault_is_named_by_its_path(
    store: Store, energy: dict[tuple[str, str], list[float | None]], body: dict[str, Any], paths: list[str]
) -> None:
    with pytest.raises(InputError) as refused:
        items(store, **body)
    assert [fault.path for fault in refused.value.faults] == paths


def test_too_many_windows_are_refused_and_not_cut_off(store: Store, writer: Writer) -> None:
    key = writer.series("energy", "import", {"meter": "m1"})
    writer.points(key, [START + n * SECOND for n in range(100_001)], [1.0] * 100_001)
    with pytest.raises(LimitError, match="More than 100000 windows"):
        items(store, every="1s")


@pytest.mark.parametrize("kind", ["csv", "ndjson", "arrow", "parquet"])
def test_an_answer_as_a_file_has_a_row_for_each_item_and_window(
    store: Store, energy: dict[tuple[str, str], list[float | None]], kind: str
) -> None:
    asked = {"agg": ["mean", "count"], "expressions": {"net": "import - export"}}
    rows = file_rows(store, kind, **asked)
    assert [name for name in rows[0] if name != "time"] == ["name", "tag.meter", "tag.site", "mean", "count"]
    for (name, _), item in items(store, **asked).items():
        own = [row for row in rows if row["name"] == name and row["tag.meter"] == item.tags["meter"]]
        assert [row["mean"] for row in own] == item.columns["mean"]
        assert [row["count"] for row in own] == item.columns["count"]
    if kind in ("csv", "ndjson"):
        assert rows[0]["time"].endswith("+01:00")


def test_counts_in_a_file_are_whole_numbers(store: Store, energy: dict[tuple[str, str], list[float | None]]) -> None:
    body = file_of(store, "csv", agg="count", every="1d", group_by=[], across="sum").decode()
    wanted = sum(value is not None for key, values in energy.items() if key[0] == "import" for value in values)
    assert body.splitlines()[0] == '"name","time","count"'
    assert f'"import","2026-01-01T00:00:00+01:00",{wanted}' not in body, "of a day in Zurich, not of a UTC one"
    counts = [int(line.rsplit(",", 1)[1]) for line in body.splitlines()[1:] if line.startswith('"import"')]
    assert sum(counts) == wanted


def test_a_question_about_the_past_is_answered_by_what_had_come(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value", {"name": "p"})
    writer.points(key, [START], [1.0])
    question: dict[str, Any] = {"select": {"series": [key]}, "agg": ["sum"], "every": ""}
    for as_of, sums in (("2025-01-01", []), ("2026-01-11", [1.0])):
        assert items(store, **question, as_of=as_of)["value", "p"].columns["sum"] == sums
    with pytest.raises(InputError, match="has not come yet"):
        items(store, **question, as_of="2036-01-01")


def file_of(store: Store, kind: str, **body: Any) -> bytes:
    given = {"select": {"feed": "energy"}, "every": "1h", "tz": "Europe/Zurich", "format": kind} | body
    found = queries(store).questions.answer("default", decode_question(json.dumps(given).encode()), NOW)
    assert isinstance(found, Page)
    return whole(found)


def file_rows(store: Store, kind: str, **body: Any) -> list[dict[str, Any]]:
    return read_file(file_of(store, kind, **body), kind).to_dicts()
