"""Open feeds over HTTP: records that bring their names, tags and fields, in every format and as InfluxDB takes them."""

import base64
import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
import zstandard

from tests.support.api import Api, running_api
from tidemill.catalog.keys import create_key
from tidemill.settings import Settings

WAIT = {"Prefer": "wait=30"}
LINES = b"cpu,host=a usage=1.5,idle=2i 1700000000\nbad\ncpu,host=b usage=3 1700000001\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Takes few series; its store is not there."""
    folder = tmp_path_factory.mktemp("few")
    with running_api(folder, settings=Settings(data=str(folder), max_series=5)) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """Needs a key; the key may write."""
    with running_api(tmp_path_factory.mktemp("locked"), open_access=False) as running:
        _, secret = create_key(running.services.catalog, "default", ["write"], "writer")
        running.services.keys.refresh()
        yield running, secret


def values(api: Api, feed: str, **tags: str) -> dict[str, list[Any]]:
    """The values of each series of an open feed, by its name."""
    chosen = {f"tag.{tag}": value for tag, value in tags.items()}
    items = api.client.get("/v1/series", params={"feed": feed, **chosen}).json()["items"]
    return {
        item["name"]: [point["value"] for point in api.client.get(f"/v1/series/{item['id']}/points").json()["items"]]
        for item in items
    }


def test_records_bring_their_names_and_the_answer_says_which_lines_are_at_fault(whole: Api) -> None:
    answer = whole.client.post("/v1/points?feed=first&precision=s", content=LINES, headers=WAIT)
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    assert (receipt["accepted"], receipt["rejected"], receipt["reasons"]) == (2, 1, {"invalid_line": 1})
    assert [(fault["path"], fault["code"]) for fault in receipt["errors"]] == [("line 2", "invalid_line")]
    assert values(whole, "first") == {"cpu/a/usage": [1.5], "cpu/a/idle": [2.0], "cpu/b/usage": [3.0]}
    (rejected,) = whole.client.get("/v1/rejections", params={"feed": "first"}).json()["items"]
    assert (rejected["index"], rejected["record"], rejected["detail"]) == (1, "bad", "line 2: missing fields")
    assert whole.client.get(receipt["links"]["payload"]).content == LINES


def test_every_value_leads_back_to_its_bytes(whole: Api) -> None:
    whole.client.post("/v1/points?feed=first&precision=s", content=LINES, headers=WAIT)
    query = {"feed": "first", "field": "usage", "tag.host": "b", "tag._measurement": "cpu"}
    why = whole.client.get("/v1/why", params={**query, "time": "2023-11-14T22:13:21Z"}).json()
    assert [event["event"] for event in why["events"]][:2] == ["received", "accepted"]
    lineage = whole.client.get(f"/v1/series/{why['series']}/lineage", params={"time": "2023-11-14T22:13:21Z"}).json()
    assert lineage["points"][0]["record"] == "cpu,host=b usage=3 1700000001"
    assert whole.client.get("/v1/why", params={**query, "tag.host": "nobody", "time": "2024-01-01"}).status_code == 200


def test_an_open_feed_has_a_definition_that_can_be_changed(whole: Api) -> None:
    whole.client.post("/v1/points?feed=ruled", content=b"m f=1 1\n", headers=WAIT)
    shown = whole.client.get("/v1/feeds/ruled").json()
    assert (shown["version"], shown["definition"]["input"]["open"]) == (1, True)
    text = shown["text"] + '\n[[rules]]\ncheck = "range"\noptions = { field = "f", min = 0, max = 10 }\n'
    assert whole.client.put("/v1/feeds/ruled", content=text).json()["version"] == 2
    answer = whole.client.post("/v1/feeds/ruled", content=b"m f=99 2\nm f=5 3\n", headers=WAIT).json()
    assert (answer["rules_version"], answer["accepted"], answer["rejected"]) == (2, 1, 1)
    assert values(whole, "ruled") == {"m/f": [1.0, 5.0]}


def test_files_are_taken_packed_and_by_their_content_type(whole: Api) -> None:
    table = pl.DataFrame({"time": [datetime(2026, 1, 31, tzinfo=UTC)], "host": ["a"], "v": [1.5]})
    file, stream = io.BytesIO(), io.BytesIO()
    table.write_parquet(file)
    table.write_ipc_stream(stream)
    bodies = (
        ("text/csv", gzip.compress(b"time,host,v\n2026-01-31T00:00:00Z,a,1.5\n"), "gzip"),
        ("application/vnd.apache.parquet", file.getvalue(), ""),
        ("application/octet-stream", zstandard.compress(stream.getvalue()), "zstd"),
        ("application/x-ndjson", b'{"fields":{"v":1.5},"tags":{"host":"a"},"time":"2026-01-31T00:00:00Z"}', ""),
    )
    for number, (kind, body, coding) in enumerate(bodies):
        feed = f"file{number}"
        headers = {"Content-Type": kind, "Content-Encoding": coding, **WAIT}
        answer = whole.client.post(f"/v1/points?feed={feed}&tags=host", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert values(whole, feed) == {"a/v": [1.5]}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "word"),
    [
        ("/v1/points?feed=location", b"m f=1", {}, 409, "no open feed"),
        ("/v1/points?feed=My%20Feed", b"m f=1", {}, 400, "can be no feed"),
        ("/v1/points?feed=bad&unit=s", b"m f=1", {}, 400, "no such parameter"),
        ("/v1/points?feed=bad&precision=x", b"m f=1", {}, 400, "precision"),
        ("/v1/points?feed=bad&feed=b", b"m f=1", {}, 400, "twice"),
        ("/v1/points?feed=bad", b"", {}, 400, "nothing here"),
        ("/v1/points?feed=bad", b"PAR1", {"Content-Type": "application/vnd.apache.parquet"}, 400, "cut off"),
        ("/v1/points?feed=bad", b"x", {"Content-Type": "image/png"}, 415, "image/png"),
        ("/v1/points?feed=bad", b"x", {"Content-Encoding": "gzip"}, 400, "gzip"),
        ("/v1/points?feed=bad", gzip.compress(b"m f=1\n" * 9_000_000), {"Content-Encoding": "gzip"}, 413, "max_"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(  # noqa: PLR0917
    whole: Api, path: str, body: bytes, headers: dict[str, str], status: int, word: str
) -> None:
    answer = whole.client.post(path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert word in answer.json()["detail"]


def test_series_are_bounded_and_counted(small: Api) -> None:
    body = b"".join(b"m,id=%d f=1\n" % n for n in range(5))
    assert small.client.post("/v1/points", content=body).status_code == 202
    assert small.client.post("/v1/points", content=body).status_code == 202  # known ones are no new ones
    answer = small.client.post("/v1/points", content=b"m,id=6 f=1\n")
    fault = answer.json()
    assert fault["code"] == "series_limit"
    assert "max_series is 5" in fault["detail"]
    assert small.client.post("/write?db=points", content=b"m,id=7 f=1\n").status_code == 422
    assert small.client.post("/v1/points", content=body).status_code == 202
    metrics = small.client.get("/metrics").text
    assert 'tidemill_open_series{tenant="default"} 5' in metrics
    assert 'tidemill_open_series_refused_total{tenant="default"} 2' in metrics


@pytest.mark.parametrize(
    ("path", "precision"),
    [("/write?db={}", "s"), ("/api/v2/write?bucket={}&org=o", "s"), ("/api/v3/write_lp?db={}", "")],
)
def test_writes_of_influxdb_are_durable_and_partial(whole: Api, path: str, precision: str) -> None:
    feed = "influx" + path.count("/") * "i"
    url = path.format(feed) + (f"&precision={precision}" if precision else "")
    answer = whole.client.post(url, content=LINES)
    assert answer.status_code == 400
    assert "partial write" in answer.json().get("error", answer.json().get("message"))
    assert (
        whole.client.post(
            url, content=gzip.compress(LINES.replace(b"bad\n", b"")), headers={"Content-Encoding": "gzip"}
        ).status_code
        == 204
    )
    receipt = whole.client.post(url, content=b"cpu,host=c usage=4 1700000002").headers["x-tidemill-receipt"]
    waited = whole.client.post(f"/v1/feeds/{feed}?precision=s", content=b"cpu,host=d usage=5 1700000002", headers=WAIT)
    assert waited.status_code == 200, waited.text
    assert whole.client.get(f"/v1/receipts/{receipt}").json()["accepted"] == 1
    assert values(whole, feed, host="b") == {"cpu/b/usage": [3.0]}


def test_errors_of_influxdb_have_the_shape_of_its_version(whole: Api) -> None:
    one = whole.client.post("/write", content=LINES)
    assert (one.status_code, set(one.json())) == (400, {"error"})
    two = whole.client.post("/api/v2/write?org=o", content=LINES)
    assert (two.status_code, two.json()["code"]) == (400, "invalid")
    three = whole.client.post("/api/v3/write_lp?db=shape", content=LINES).json()
    assert three["error"] == "partial write of line protocol occurred"
    assert three["data"] == [{"original_line": "bad", "line_number": 2, "error_message": "missing fields"}]
    refused = whole.client.post("/api/v3/write_lp?db=shape&accept_partial=false", content=LINES)
    assert (refused.status_code, "x-tidemill-receipt" in refused.headers) == (400, True)
    assert whole.client.post("/write?db=location", content=LINES).status_code == 409
    assert "precision" in whole.client.post("/write?db=shape&precision=fortnight", content=LINES).json()["error"]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": "Token {}"}, ""),
        ({"Authorization": "Bearer {}"}, ""),
        ({"Authorization": "Basic {basic}"}, ""),
        ({"X-API-Key": "{}"}, ""),
        ({}, "&u=anyone&p={}"),
    ],
)
def test_keys_come_as_clients_of_influxdb_send_them(
    locked: tuple[Api, str], headers: dict[str, str], query: str
) -> None:
    api, secret = locked
    basic = base64.b64encode(f"anyone:{secret}".encode()).decode()
    sent = {name: value.format(secret, basic=basic) for name, value in headers.items()}
    assert api.client.post("/write?db=d" + query.format(secret), content=b"m f=1", headers=sent).status_code == 204
    wrong = {name: value.format("no-key", basic="bm86bm8=") for name, value in headers.items()}
    refused = api.client.post("/write?db=d" + query.format("no-key"), content=b"m f=1", headers=wrong)
    assert (refused.status_code, set(refused.json())) == (401, {"error"})


def test_ping_and_health_need_no_key(locked: tuple[Api, str]) -> None:
    api, _ = locked
    ping = api.client.get("/ping")
    assert (ping.status_code, "x-influxdb-version" in ping.headers) == (204, True)
    assert api.client.head("/ping").status_code == 204
    assert api.client.get("/health").json()["status"] == "pass"
    assert json.loads(api.client.post("/write?db=d", content=b"m f=1").content)["error"].startswith("This needs a key")


@pytest.mark.parametrize("path", ["/write?db=d", "/api/v2/write?bucket=d", "/api/v3/write_lp?db=d"])
def test_basic_without_a_password_is_told_where_the_key_goes(locked: tuple[Api, str], path: str) -> None:
    refused = locked[0].client.post(path, content=b"m f=1", auth=("anyone", ""))
    assert refused.status_code == 401
    assert "password of Basic is empty" in refused.text
