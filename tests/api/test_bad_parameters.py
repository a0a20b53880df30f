"""Every parameter of every read route, made bad as its own documentation says: all faults of a request are named at
once, each with what is allowed."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.api.samples import problem
from tests.support.api import Api

# Of parameters whose values are texts of a form: a bad one, and what of the allowed form the fault shows.
FORMS = {
    "start": ("noon", "2026"),
    "end": ("noon", "2026"),
    "stop": ("noon", "2026"),
    "time": ("noon", "2026"),
    "since": ("noon", "2026"),
    "as_of": ("noon", "2026"),
    "window": ("noon", "2026"),
    "with_start": ("noon", "2026"),
    "with_end": ("noon", "2026"),
    "time_start": ("noon", "2026"),
    "time_end": ("noon", "2026"),
    "every": ("fortnight", "15m"),
    "interval": ("fortnight", "15m"),
    "tz": ("Mars/Olympus", "Europe/Zurich"),
    "fill": ("much", "value:0"),
    "agg": ("averge", "mean"),
    "q": ("2", "0 to 1"),
    "level": ("101", "below 100"),
    "bands": ("low", "0-100"),
    "cursor": ("x", "earlier answer"),
}
PLACES = {"feed": "signals", "series": "0123456789abcdef", "number": "1", "version": "1", "name": "signals"}


@pytest.fixture(scope="module")
def routes(api: Api) -> dict[str, list[Mapping[str, Any]]]:
    """The parameters of every GET route that has some, by a path of it."""
    paths = api.client.get("/openapi.json").json()["paths"]
    return {
        _filled(path): [item for item in operations["get"].get("parameters", []) if item["in"] == "query"]
        for path, operations in paths.items()
        if any(item["in"] == "query" for item in operations.get("get", {}).get("parameters", []))
    }


def _filled(path: str) -> str:
    parts = [PLACES.get(part[1:-1], "0" * 16) if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


def _schema(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = parameter["schema"]
    return schema.get("items", schema)


def bad(parameter: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Bad values, each with words that its fault must have."""
    schema = _schema(parameter)
    if "enum" in schema:
        yield "nonsense", schema["enum"]
    elif schema.get("type") == "integer":
        for value in ("many", str(schema.get("maximum", 10**12) + 1), str(schema.get("minimum", 1) - 1), "1.5"):
            yield value, [str(schema["maximum"])] if "maximum" in schema else []
    elif schema.get("type") == "boolean":
        yield "maybe", ["true", "false"]
    elif schema.get("type") == "number":
        for value in ("many", "NaN", "Infinity"):
            yield value, []
    elif parameter["name"] in FORMS and not (parameter["name"] == "q" and "Quantiles" not in parameter["description"]):
        value, word = FORMS[parameter["name"]]
        yield value, [word]


def test_every_bad_value_is_named_with_what_is_allowed(api: Api, routes: dict[str, list[Mapping[str, Any]]]) -> None:
    assert len(routes) > 40
    tried, silent = set(), []
    for path, parameters in routes.items():
        values = {item["name"]: list(bad(item)) for item in parameters}
        for number in range(max(map(len, values.values()))):
            given = {name: pairs[number] for name, pairs in values.items() if len(pairs) > number}
            answer = api.client.get(path, params={name: value for name, (value, _) in given.items()})
            faults = problem(answer, 400, "invalid")["errors"]
            for name, (value, words) in given.items():
                own = [item["message"] for item in faults if item["path"].partition("[")[0] == f"$query.{name}"]
                silent += [] if own and all(word in own[0] for word in words) else [(path, name, value, own)]
                tried.add(name)
    assert silent == []
    assert tried >= FORMS.keys() & {item["name"] for parameters in routes.values() for item in parameters}


def test_every_parameter_is_refused_where_it_is_empty_or_given_too_often(
    api: Api, routes: dict[str, list[Mapping[str, Any]]]
) -> None:
    for path, parameters in routes.items():
        names = [item["name"].replace("*", "x") for item in parameters]
        twice = [item["name"].replace("*", "x") for item in parameters if item["schema"].get("type") != "array"]
        faults = problem(api.client.get(path, params=[(name, "") for name in names]), 400, "invalid")["errors"]
        assert {(f"$query.{name}", "empty") for name in names} <= {(item["path"], item["code"]) for item in faults}, (
            path
        )
        given = [(name, "0") for name in twice] * 2
        faults = problem(api.client.get(path, params=given), 400, "invalid")["errors"]
        assert {f"$query.{name}" for name in twice} <= {item["path"] for item in faults}, path
        assert {item["path"] for item in faults if item["code"] == "repeated"} >= {f"$query.{name}" for name in twice}
        faults = problem(api.client.get(path, params={"colour": "red"}), 400, "invalid")["errors"]
        assert ("$query.colour", "unknown_parameter") in {(item["path"], item["code"]) for item in faults}, path
