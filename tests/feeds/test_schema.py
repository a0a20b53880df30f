"""The schema of definitions knows every key and its meaning, and takes what `load_feed` takes."""

import tomllib
from typing import Any

import jsonschema_rs
import pytest

from tidemill.checks.library import checks_by_name
from tidemill.feeds.meanings import MEANINGS
from tidemill.feeds.recipes import RECIPES
from tidemill.feeds.schema import definition_schema, table_schema

SCHEMA = definition_schema()


def test_every_key_has_a_meaning_and_no_other_has() -> None:
    tables = {name: table for name, table in SCHEMA["$defs"].items() if not name.startswith("check:")}
    assert tables.keys() == MEANINGS.keys()
    for name, table in tables.items():
        keys = set(table["properties"]) | ({"version"} if name == "Feed" else set())
        assert keys == set(MEANINGS[name]), name
        assert table["description"]
        for key, member in table["properties"].items():
            assert member["description"].endswith("."), (name, key)


@pytest.mark.parametrize("name", RECIPES)
def test_the_schema_takes_every_recipe(name: str) -> None:
    validator = jsonschema_rs.Draft202012Validator(SCHEMA)
    assert [fault.message for fault in validator.iter_errors(tomllib.loads(RECIPES[name]))] == []


@pytest.mark.parametrize(
    "change",
    [
        {"naem": "x"},
        {"duplicates": "lats"},
        {"rules": [{"check": "rang", "options": {}}]},
        {"rules": [{"check": "range", "options": {"feild": "v"}}]},
        {"tags": {"a": {"path": 7}}},
        {"input": {"formats": ["jsno"]}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_load_feed_refuses(change: dict[str, Any]) -> None:
    validator = jsonschema_rs.Draft202012Validator(SCHEMA)
    assert not validator.is_valid(tomllib.loads(RECIPES["dropzone"]) | change)


def test_every_check_is_there_with_its_options() -> None:
    for name in checks_by_name():
        table = table_schema(f"check:{name}")
        assert table is not None
        assert table["description"]
        assert all(member["description"] for member in table["properties"].values()), name
    assert table_schema("Nothing") is None
