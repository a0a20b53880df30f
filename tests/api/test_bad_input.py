"""What bad input gets: one problem document naming every fault, never a 500, and nothing that was sent is lost."""

import hashlib
from typing import Any

import httpx
import pytest

from tests.api.samples import body, fix, problem, row
from tests.support.api import Api
from tidemill.model.payload import EntryKind

STAMP = '{"time_stamp": "2019-05-01T06:00:00-04:00", "data": '


def raw(data: str) -> bytes:
    return (STAMP + data + "}").encode("utf-8", "surrogatepass")


def timed(stamp: str) -> bytes:
    return body({"time_stamp": stamp, "data": [1]})


DROPZONE: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \n\t ",
    "NUL": b"\x00",
    "binary": bytes(range(256)),
    "utf-16": body(row()).decode().encode("utf-16"),
    "latin-1": b'{"time_stamp": "\xe9", "data": [1]}',
    "broken": b'{"time_stamp": ',
    "trailing": body(row()) + b"x",
    "an object and an array in a line": body(row()) + b"[]",
    "a text": b'"2019"',
    "a number": b"1",
    "null": b"null",
    "empty object": b"{}",
    "no record": b"[]",
    "single quotes": b"{'time_stamp': 1}",
    "no data": b'{"time_stamp": "2019-05-01T06:00:00-04:00"}',
    "data null": raw("null"),
    "data text": raw('"1"'),
    "data empty": raw("[]"),
    "data object": raw("{}"),
    "NaN": raw("[NaN]"),
    "Infinity": raw("[-Infinity]"),
    "1e999": raw("[1e999]"),
    "a digit text": raw('["1"]'),
    "true": raw("[true]"),
    "nested": raw("[[1]]"),
    "lone surrogate": raw('["\\ud800"]'),
    "raw surrogate": raw('["\ud800"]'),
    "NUL escape": raw('["\\u0000"]'),
    "duplicate key": b'{"time_stamp": "2019-05-01T06:00:00Z", "data": [1], "data": [2]}',
    "depth 10,000": raw("[" * 5_000 + "]" * 5_000),
    "depth of objects": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "open depth": b"[" * 15_000,
    "no offset": timed("2019-05-01T06:00:00"),
    "date only": timed("2019-05-01"),
    "year 0": timed("0000-01-01T00:00:00Z"),
    "year 10000": timed("10000-01-01T00:00:00Z"),
    "leap second": timed("2016-12-31T23:59:60Z"),
    "24:00": timed("2019-05-01T24:00:00Z"),
    "31 June": timed("2019-06-31T00:00:00Z"),
    "offset 25 h": timed("2019-05-01T00:00:00+25:00"),
    "before 1900": timed("1899-12-31T23:59:59Z"),
    "after 2262": timed("2300-01-01T00:00:00Z"),
    "time a number": b'{"time_stamp": 1556704800, "data": [1]}',
    "a broken line": body(row()) + b"\n{\n" + body(row()),
}


def refused(api: Api, answer: httpx.Response, sent: bytes) -> dict[str, Any]:
    """Check that a refusal names its faults and that bytes and faults are in the log."""
    document = problem(answer, 400, "invalid")
    assert document["errors"], document
    logged = api.services.log.find("default", document["receipt"])
    assert logged is not None
    assert (logged.payload.kind, logged.payload.body) == (EntryKind.REFUSED, sent)
    assert logged.payload.sha256 == hashlib.sha256(sent).digest()
    assert [fault.code for fault in logged.payload.faults] == [fault["code"] for fault in document["errors"]]
    return document


@pytest.mark.parametrize("sent", DROPZONE.values(), ids=DROPZONE)
def test_what_the_dropzone_refuses_is_named_and_kept(api: Api, sent: bytes) -> None:
    refused(api, api.client.post("/v1/feeds/dropzone", content=sent), sent)
    assert api.client.post("/v1/feeds/dropzone", json=row()).status_code == 202


@pytest.mark.parametrize("stamp", ["2019-05-01T00:00:00+14:00", "2019-05-01T00:00:00-00:00", "2019-05-01t00:00:00z"])
def test_unusual_times_that_are_right_are_taken(api: Api, stamp: str) -> None:
    assert api.client.post("/v1/feeds/dropzone", content=timed(stamp)).status_code == 202


@pytest.mark.parametrize("number", ["9223372036854775808", "123456789012345678901234567890", "1e308", "-0.0", "5e-324"])
def test_large_numbers_that_a_double_can_hold_are_taken(api: Api, number: str) -> None:
    assert api.client.post("/v1/feeds/dropzone", content=raw(f"[{number}]")).status_code == 202


FIXES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "latitude": ({"lat": 90.001}, {"$.lat": "out_of_range"}),
    "longitude": ({"long": -180.5}, {"$.long": "out_of_range"}),
    "negative accuracy": ({"accuracy": -0.1}, {"$.accuracy": "out_of_range"}),
    "text": ({"lat": "40.7"}, {"$.lat": "wrong_type"}),
    "no user": ({"user_id": None}, {"$.user_id": "wrong_type"}),
    "empty user": ({"user_id": ""}, {"$.user_id": "empty"}),
    "long user": ({"user_id": "x" * 257}, {"$.user_id": "too_long"}),
    "NUL in user": ({"user_id": "a\0b"}, {"$.user_id": "control_character"}),
    "time": ({"timestamp": "13:05"}, {"$.timestamp": "time_invalid"}),
    "all": ({"lat": 91, "long": "w", "speed": True}, {"$.lat": "out_of_range", "$.long": "wrong_type"}),
}


@pytest.mark.parametrize(("fields", "expected"), FIXES.values(), ids=FIXES)
def test_every_fault_of_a_fix_is_named(api: Api, fields: dict[str, Any], expected: dict[str, str]) -> None:
    sent = body(fix(**fields))
    document = refused(api, api.client.put("/location", content=sent), sent)
    faults = {fault["path"]: fault["code"] for fault in document["errors"]}
    assert expected.items() <= faults.items(), faults


def test_an_array_without_a_fix_is_no_submission(api: Api) -> None:
    document = refused(api, api.client.put("/location", content=b"[]"), b"[]")
    assert document["errors"] == [
        {"path": "$", "code": "empty", "message": "holds no record; send one, or an array of them"}
    ]


def test_many_faults_are_cut_off_with_a_count(api: Api) -> None:
    sent = raw("[" + ",".join(['"x"'] * 500) + "]")
    document = refused(api, api.client.post("/v1/feeds/dropzone", content=sent), sent)
    assert 100 <= len(document["errors"]) <= 101


SERIES: dict[str, Any] = {
    "no values": {"start": "2026-01-01T00:00:00Z", "interval": "1s"},
    "values empty": {"values": []},
    "interval unknown": {"start": "2026-01-01T00:00:00Z", "interval": "1 parsec", "values": [1]},
    "both": {"start": "2026-01-01T00:00:00Z", "interval": "1s", "sample_rate_hz": 1, "values": [1]},
    "more times than values": {"times": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"], "values": [1]},
    "text value": {"start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1, "x"]},
    "an array": [1, 2, 3],
}


@pytest.mark.parametrize("series", SERIES.values(), ids=SERIES)
def test_every_fault_of_a_series_is_named(api: Api, series: Any) -> None:
    sent = body(series)
    refused(api, api.client.post("/v1/series", content=sent), sent)


@pytest.mark.parametrize(
    "path", ["/v1/feeds", "/v1/feeds/location/x/y", "/V1/FEEDS", "/v1", "//", "/v1/feeds/%00", "/%ff"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_odd_paths_and_methods_are_problems(api: Api, path: str, method: str) -> None:
    answer = api.client.request(method, path)
    if answer.status_code == 405:
        problem(answer, 405, "method_not_allowed")
        assert method not in answer.headers["allow"].split(", ")
        assert answer.headers["allow"]
    elif (method, path) == ("PUT", "/v1/feeds/%00"):
        problem(answer, 400, "feed_invalid")
    elif (method, path) == ("DELETE", "/v1/feeds/%00"):  # without `data` nothing is removed, whatever the name
        problem(answer, 400, "invalid")
    elif answer.status_code != 200:
        problem(answer, 404, "not_found")


def test_allow_names_the_methods_of_both_layers(api: Api) -> None:
    answer = api.client.patch("/v1/series")
    problem(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))
    answer = api.client.patch("/v1/series/0000000000000000")
    assert {"GET", "DELETE"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/location", {"PUT", "OPTIONS"}),
        ("/v1/feeds/dropzone", {"POST", "PUT", "GET", "HEAD", "DELETE", "OPTIONS"}),
        ("/v1/series", {"POST", "GET", "HEAD", "OPTIONS"}),
        ("/v1/series/0123456789abcdef", {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_options_are_those_that_a_refused_method_is_told(api: Api, path: str, methods: set[str]) -> None:
    options = api.client.options(path)
    assert (options.status_code, options.content) == (204, b"")
    assert set(options.headers["allow"].split(", ")) == methods
    answer = api.client.patch(path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == options.headers["allow"]
    problem(api.client.options("/nothing/here"), 404, "not_found")
