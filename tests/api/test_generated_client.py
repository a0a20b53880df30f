"""A client that is generated from the OpenAPI document has real types, and speaks to a server."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from openapi_python_client import GeneratorData, Project
from openapi_python_client.config import Config, ConfigFile, MetaType

from tests.api.samples import row
from tests.support.api import Api
from tidemill.api.app import Document

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(Document().data))
WAIT = {"Prefer": "wait=10"}
# What is any JSON, because it is shown as it came: records, values of a definition, options of checks.
BINARY = dict.fromkeys(("application/toml", "application/x-protobuf"), "application/octet-stream")
ANY_JSON = {
    "Rejection.record",
    "PointOrigin.record",
    "Facts.record",
    "DefinitionChange.old",
    "DefinitionChange.new",
    "Option.default",
    "Rule.options.*",
    "PayloadRecordItem.record",
    "get /v1/feeds/schema 200 application/json.*",
    "get /v1/receipts/{receipt}/payload 200 application/json",
}


def untyped(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Every place in a schema that says nothing of what is there."""
    inner = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    if not inner and not schema.keys() & {"type", "$ref", "enum", "const"}:
        yield path
    elif schema.get("type") == "object" and not schema.get("properties") and not schema.get("additionalProperties"):
        yield f"{path}.*"
    for branch in inner:
        yield from untyped(branch, path)
    for name, member in schema.get("properties", {}).items():
        yield from untyped(member, f"{path}.{name}")
    if "items" in schema:
        yield from untyped(schema["items"], f"{path}[]")
    if isinstance(further := schema.get("additionalProperties"), dict) and further:
        yield from untyped(further, f"{path}.*")


def test_every_answer_is_typed() -> None:
    kinds = {
        location for name, schema in DOCUMENT["components"]["schemas"].items() for location in untyped(schema, name)
    }
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    kinds |= set(untyped(content["schema"], f"{method} {path} {status} {kind}"))
    assert kinds == ANY_JSON


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The generated package, as a name to import."""
    folder, name = tmp_path_factory.mktemp("client"), "tidemill_generated"
    file = folder / "openapi.json"
    file.write_bytes(msgspec.json.encode(DOCUMENT))
    overrides = ConfigFile(post_hooks=[], content_type_overrides=BINARY)
    config = Config.from_sources(overrides, MetaType.NONE, file, "utf-8", overwrite=True, output_path=folder / name)
    api = GeneratorData.from_dict(DOCUMENT, config=config)
    assert isinstance(api, GeneratorData), api
    warnings = [str(error.header) for error in Project(openapi=api, config=config).build()]
    assert not [text for text in warnings if "will not be generated" in text or "Unable to process" in text]
    sys.path.insert(0, str(folder))
    yield name
    sys.path.remove(str(folder))


def types(generated: str, model: str) -> dict[str, str]:
    """The members of a generated model and their types, as they are written."""
    generated_model = getattr(importlib.import_module(f"{generated}.models"), model)
    return {
        field.name: str(field.type) for field in attrs.fields(generated_model) if field.name != "additional_properties"
    }


def test_points_windows_and_definitions_have_real_types(generated: str) -> None:
    assert types(generated, "Point") == {
        "time": "str",
        "value": "float | None",
        "flags": "list[PointFlagsItem]",
        "marks": "list[str]",
    }
    assert types(generated, "PointPage")["items"] == "list[Point]"
    assert types(generated, "WindowPage")["items"] == "list[PointWindow]"
    assert types(generated, "PointWindow")["mean"] == "float | None | Unset"
    assert types(generated, "FeedWindow")["coverage"] == "float | None | Unset"
    assert types(generated, "RollupWindow")["mean"] == "float"
    definition = types(generated, "Definition")
    assert definition["time"] == "TimePolicy" and definition["rules"] == "list[Rule]"
    assert types(generated, "FeedDetail")["definition"] == "Definition | None"
    assert types(generated, "FeedDiff")["diff"] == "list[DefinitionChange]"
    models = Path(importlib.import_module(generated).__file__ or "").parent / "models"
    assert len(list(models.glob("*.py"))) > 100


def test_the_generated_client_reads_what_was_sent(generated: str, whole: Api) -> None:
    whole.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)
    client = importlib.import_module(generated).Client(base_url=whole.url, timeout=60)
    list_points = importlib.import_module(f"{generated}.api.series.list_points").sync
    listed = importlib.import_module(f"{generated}.api.series.list_series").sync(client=client, feed="dropzone")
    series = next(item for item in listed.items if item.field == "count")
    page = list_points(series=series.id, client=client)
    assert type(page).__name__ == "PointPage"
    assert page.items[-1].value == len(row()["data"])
    windows = list_points(series=series.id, client=client, every="1d", agg="mean,count")
    assert type(windows).__name__ == "WindowPage"
    assert windows.items[-1].mean == page.items[-1].value
    feed = importlib.import_module(f"{generated}.api.admin.get_feed").sync("dropzone", client=client)
    assert feed.definition.shape.kind == "summary"
