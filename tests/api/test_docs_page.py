"""The page of the API: everything of the document is on it, it can be tried, and nothing on it is from elsewhere."""

import json
import re
from html.parser import HTMLParser

import pytest

from tests.support.api import Api
from tidemill.api.app import Document
from tidemill.api.docs_schema import SchemaText, parameter_meaning

DOCUMENT = json.loads(json.dumps(Document().data))
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


class Page(HTMLParser):
    """The operations of the page by id: their texts, and the fields of their forms."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.fields: dict[str, list[dict[str, str]]] = {}
        self.options: dict[str, list[str]] = {}
        self.forms: dict[str, tuple[str, str]] = {}
        self.labels: set[str] = set()
        self.ids: list[str] = []
        self._operation = self._field = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert "style" not in given and not any(name.startswith("on") for name in given), given
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "details":
            self._operation = given["id"]
            self.texts[self._operation], self.fields[self._operation] = "", []
        elif tag == "form" and "data-path" in given:
            self.forms[self._operation] = (given["data-method"].lower(), given["data-path"])
        elif tag in ("input", "select", "textarea") and self._operation:
            self.fields[self._operation].append(given)
            self._field = given.get("id", "")
        elif tag == "option":
            self.options.setdefault(self._field, [])
        elif tag == "label":
            self.labels.add(given["for"])

    def handle_data(self, data: str) -> None:
        if self._operation:
            self.texts[self._operation] += data
        if self._field in self.options:
            self.options[self._field].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "details":
            self._operation = ""
        elif tag == "select":
            self._field = ""


@pytest.fixture(scope="module")
def page(api: Api) -> Page:
    page = Page()
    page.feed(api.client.get("/docs").text)
    return page


def test_every_operation_is_there_with_a_form(page: Page) -> None:
    assert page.texts.keys() == OPERATIONS.keys()
    assert page.forms == {name: (method, path) for name, (method, path, _) in OPERATIONS.items()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_shows_what_it_takes_and_answers(page: Page, name: str) -> None:
    _, _, operation = OPERATIONS[name]
    text = page.texts[name]
    fields = {(field["data-in"], field["name"]) for field in page.fields[name] if "data-in" in field}
    assert fields == {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])}
    for parameter in operation.get("parameters", []):
        schema = parameter.get("schema", {})
        for choice in schema.get("enum", []):
            assert str(choice) in text, parameter["name"]
        if schema.get("default") is not None:
            assert f"Default: {schema['default']}." in text, parameter["name"]
    for status, answer in operation["responses"].items():
        assert status in text
        for media in answer.get("content", {}).values():
            if "example" in media and status[0] == "2":
                example = media["example"]
                shown = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
                assert shown[:1000] in text
    body = operation.get("requestBody", {}).get("content", {})
    assert all(kind in text for kind in body)
    assert bool(body) == any("data-body" in field for field in page.fields[name])


def test_a_form_is_filled_in_with_what_works_and_changes_nothing_where_it_can(page: Page) -> None:
    for name, (_, _, operation) in OPERATIONS.items():
        given = {field.get("name", ""): field for field in page.fields[name]}
        for parameter in operation.get("parameters", []):
            if parameter.get("required") and "enum" not in parameter.get("schema", {}):
                assert given[parameter["name"]]["value"], (name, parameter["name"])
        if "dry_run" in given:
            field = given["dry_run"]
            assert "true" in page.options.get(field["id"], [field.get("value")])


def test_every_field_has_a_label_and_no_id_comes_twice(page: Page) -> None:
    assert len(set(page.ids)) == len(page.ids)
    fields = {field["id"] for fields in page.fields.values() for field in fields}
    assert fields | {"key", "find-operation"} == page.labels


def test_members_choices_and_defaults_are_in_words() -> None:
    text = SchemaText(
        {
            "Item": {
                "type": "object",
                "properties": {"of": {"$ref": "#/components/schemas/Item"}, "n": {"type": "integer"}},
            },
            "Page": {
                "type": "object",
                "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}},
            },
        }
    )
    assert text.type_text({"oneOf": [{"type": "string"}, {"type": "null"}]}) == "string or null"
    assert text.type_text({"type": "array", "items": {"enum": ["a", "b"]}}) == "array of one of a, b"
    assert text.type_text({"$ref": "#/components/schemas/Item"}) == "Item"
    names = re.findall(r"<td><code>(.*?)</code></td>", text.members({"$ref": "#/components/schemas/Page"}))
    assert names == ["items", "items[].of", "items[].n"]  # a schema within itself is named once
    meaning = parameter_meaning({"description": "Rows.", "schema": {"type": "integer", "default": 10, "maximum": 99}})
    assert meaning == "Rows. Default: `10`. At most 99."


@pytest.mark.parametrize("path", ["/docs", "/docs/problems", "/"])
def test_the_policy_allows_only_files_of_this_server(api: Api, path: str) -> None:
    answer = api.client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy and "require-trusted-types-for 'script'" in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|javascript:", answer.text)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text)


@pytest.mark.parametrize(("path", "kind"), [("/docs/docs.css", "text/css"), ("/docs/docs.js", "text/javascript")])
def test_its_files_are_fetched_again_only_when_they_changed(api: Api, path: str, kind: str) -> None:
    answer = api.client.get(path)
    assert answer.headers["content-type"].startswith(kind)
    again = api.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "storage" not in answer.text.lower()  # a key that is typed in is kept nowhere


def test_a_chosen_theme_is_in_the_document(api: Api) -> None:
    assert (
        '<html lang="en" data-theme="dark">' in api.client.get("/docs", headers={"Cookie": "tidemill_theme=dark"}).text
    )
    forged = api.client.get("/docs", headers={"Cookie": 'tidemill_theme="><script>'})
    assert '<html lang="en">' in forged.text
