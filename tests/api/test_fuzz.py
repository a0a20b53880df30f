"""Whatever comes: an answer below 500, a problem document for every refusal, and the connection usable or closed."""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import Api

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)
KEYS = ["time_stamp", "data", "timestamp", "lat", "long", "accuracy", "speed", "user_id", "time", "value", "tags"]
SERIES = ["values", "start", "interval", "sample_rate_hz", "times", "name", "unit"]
VALUES = JSON | st.sampled_from(["2019-05-01T06:00:00Z", "2017-01-01 13:05:12", 40.7, [1, 2.5], "1s", "a1", -1e308])
NEARLY = st.dictionaries(st.sampled_from(KEYS + SERIES), VALUES, max_size=8)
BODIES = (
    st.binary(max_size=300)
    | JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | NEARLY.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | st.lists(NEARLY, max_size=4).map(lambda many: "\n".join(map(json.dumps, many)).encode("utf-8", "surrogatepass"))
)
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/json", "text/plain", "application/x-ndjson"]) | VISIBLE,
        "Content-Encoding": st.sampled_from(["gzip", "zstd", "identity", "gzip, zstd", ""]) | VISIBLE,
        "Prefer": st.sampled_from(["wait=0", "wait=0.001", "wait", "wait=999999999999"]) | VISIBLE,
        "Idempotency-Key": VISIBLE,
        "Accept": VISIBLE,
        "X-Strange": VISIBLE,
    },
)
TARGETS = st.sampled_from(
    [("PUT", "/location"), ("POST", "/v1/series")]
    + [("POST", f"/v1/feeds/{feed}") for feed in ("dropzone", "location", "telemetry", "meters", "signals", "none")]
)


def check_answer(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["status"] == answer.status_code
        assert {"type", "title", "code", "detail", "errors"} <= set(document)
    else:
        assert answer.json()["id"]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=TARGETS, content=BODIES, headers=HEADERS)
def test_any_body_and_headers_are_answered(
    api: Api, target: tuple[str, str], content: bytes, headers: dict[str, str]
) -> None:
    if headers.get("Prefer", "").startswith("wait=9"):
        headers = {**headers, "Prefer": "wait=0"}  # it would be kept to
    before = api.services.log.last_seq()
    answer = api.client.request(*target, content=content, headers=headers)
    check_answer(answer)
    kept = answer.status_code < 300 or "receipt" in answer.json()
    replayed = "idempotency-replayed" in answer.headers
    assert api.services.log.last_seq() - before == (1 if kept and not replayed else 0)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
    path=st.lists(st.sampled_from(["v1", "feeds", "series", "location", "count", "%00", "%2e%2e", "é", "", "x" * 300])),
    query=st.text(max_size=40),
)
def test_any_path_is_answered(api: Api, method: str, path: list[str], query: str) -> None:
    answer = api.client.request(method, f"{api.url}/{'/'.join(path)}", params={"start": query, query: "1"})
    assert answer.status_code < 500 or answer.json()["code"] == "store_unavailable", answer.text
