"""Problems name their object, and what to do; and a tag with a fixed value is a tag of what is pushed."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.api import Api

ZONED = """
name = "zoned"
[input]
on_fault = "reject"
[time]
path = "$.local"
zone_path = "$.tz"
offset = "optional"
[tags.site]
value = "north"
[tags.dev]
path = "$.dev"
[fields.v]
path = "$.v"
"""
WAIT = {"Prefer": "wait=10"}


@pytest.fixture(scope="module")
def client(whole: Api) -> Iterator[httpx.Client]:
    yield whole.client


@pytest.fixture(scope="module")
def zoned(client: httpx.Client) -> str:
    assert client.put("/v1/feeds/zoned", content=ZONED).status_code == 201
    return "/v1/feeds/zoned"


def record(local: str, dev: str = "a", **more: Any) -> dict[str, Any]:
    return {"local": local, "dev": dev, "v": 1, **more}


def rejected(client: httpx.Client, path: str, *records: dict[str, Any]) -> dict[str, str]:
    """The details of the rejected records of a payload, by reason."""
    answer = client.post(path, json=list(records), headers=WAIT)
    assert answer.status_code == 200, answer.text
    items = client.get("/v1/rejections", params={"receipt": answer.json()["id"]}).json()["items"]
    assert len(items) == len(records)
    return {item["reasons"][0]: item["detail"] for item in items}


def test_a_bad_zone_is_named_and_so_is_the_member_that_is_missing(client: httpx.Client, zoned: str) -> None:
    noon = "2026-07-01 12:00:00"
    found = rejected(client, zoned, record(noon, tz="CEST"), record(noon), record("2026-07-01 25:00", tz="UTC"))
    assert "'CEST'" in found["zone_unknown"] and "$.tz must be" in found["zone_unknown"]
    assert "$.tz is missing" in found["zone_missing"]
    assert "'2026-07-01 25:00' is not a time that exists" in found["time_invalid"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("12:00", "it has no date"),
        ("2026-07-01T", "no time of day behind the T"),
        ("1767225600", "[time] format, such as unix_s"),
        ("2026-07-01 12:00:00 CEST", "no offset from UTC such as +01:00"),
        ("31.12.2026 23:59", "give [time] format its pattern"),
    ],
)
def test_a_time_says_what_it_lacks(client: httpx.Client, zoned: str, text: str, why: str) -> None:
    found = rejected(client, zoned, record(text, tz="UTC"))
    assert why in found["time_invalid"] and f"'{text}'" in found["time_invalid"]


def test_a_fixed_tag_is_a_tag_of_what_is_pushed(client: httpx.Client, zoned: str) -> None:
    noon = "2026-07-01 12:00:00"
    answer = client.post(zoned, json=[record(noon, "x", tz="UTC"), record(noon, "y", tz="UTC")], headers=WAIT)
    assert answer.json()["accepted"] == 2
    lines = f'{{"local": "{noon}", "dev": "z", "v": 3, "tz": "Asia/Kolkata", "site": "south"}}\n'
    sent = client.post(zoned, content=lines, headers={**WAIT, "Content-Type": "application/x-ndjson"})
    assert sent.json()["accepted"] == 1
    series = client.get("/v1/series", params={"feed": "zoned", "tag.site": "north"}).json()["items"]
    assert [item["tags"] for item in series] == [{"site": "north", "dev": dev} for dev in "xyz"]
    points = client.get(f"{zoned}/points", params={"site": "north", "dev": "z"}).json()
    assert points == [{"time": "2026-07-01T06:30:00Z", "value": 3}]
    assert client.get(f"{zoned}/points", params={"site": "south"}).json() == []


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ('[source.oauth2x]\nclient_secret = "${SECRET:-x}"', "unknown key 'oauth2x'"),
        ('[source.headers]\n"X.Token" = 5\n', "source.headers"),
        ('[source.oauth2]\ntoken_urlx = "${SECRET:-x}"\n', "unknown key 'token_urlx'"),
        ('[source.window]\nsise = "${SIZE:-1d}"\n', "unknown key 'sise' (did you mean 'size'?)"),
    ],
)
def test_an_unknown_key_is_named_though_a_variable_is_in_it(client: httpx.Client, table: str, named: str) -> None:
    text = ZONED.replace("zoned", "polls") + f'[source]\nurl = "https://example.com/data"\n{table}'
    answer = client.put("/v1/feeds/polls", content=text)
    assert answer.status_code == 400
    assert any(named in f"{fault['path']} {fault['message']}" for fault in answer.json()["errors"]), answer.text
    assert "{'" not in answer.text


def test_the_value_of_a_variable_is_never_in_a_message(client: httpx.Client) -> None:
    text = ZONED.replace("zoned", "polls") + (
        '[source]\nurl = "https://example.com/data"\nevery = "${TIDEMILL_EVERY:-hush}"\n'
        '[source.headers]\n"X.Token" = "a\\n${TIDEMILL_EVERY:-hush}"\n'
    )
    answer = client.put("/v1/feeds/polls", content=text)
    assert answer.status_code == 400
    messages = [fault["message"] for fault in answer.json()["errors"]]
    assert messages and not any("hush" in message.replace(":-hush", "") for message in messages), messages
