"""Receipts and their bytes over HTTP."""

import base64
import gzip
import hashlib
import time

from tests.api.samples import problem
from tests.support.api import Api

SENT = b'{"time_stamp": "2026-01-01T00:00:00Z",\r\n  "data": [1, 2.50, 3e0]} '
WAIT = {"Prefer": "wait=10"}


def sent(api: Api, body: bytes = SENT) -> str:
    answer = api.client.post("/v1/feeds/dropzone", content=body, headers=WAIT)
    return str(answer.json()["id"])


def test_a_receipt_has_exactly_the_contracts_members(whole: Api) -> None:
    receipt = sent(whole)
    item = whole.client.get(f"/v1/receipts/{receipt}").json()
    assert list(item) == [
        "id",
        "feed",
        "received_at",
        "bytes",
        "sha256",
        "state",
        "accepted",
        "rejected",
        "reasons",
        "missing",
        "rules_version",
        "links",
    ]
    assert (item["id"], item["feed"], item["state"], item["bytes"]) == (receipt, "dropzone", "applied", len(SENT))
    assert (item["accepted"], item["rejected"], item["reasons"]) == (1, 0, {})
    for link in item["links"].values():
        assert whole.client.get(link).status_code == 200


def test_bytes_come_back_verbatim_and_cannot_run(whole: Api) -> None:
    answer = whole.client.get(f"/v1/receipts/{sent(whole)}/payload")
    digest = hashlib.sha256(SENT)
    assert answer.content == SENT
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["digest"] == f"sha-256={base64.b64encode(digest.digest()).decode()}"
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"].startswith("application/json")


def test_bytes_that_were_seen_are_not_sent_again(whole: Api) -> None:
    path = f"/v1/receipts/{sent(whole)}/payload"
    tag = whole.client.get(path).headers["etag"]
    again = whole.client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert whole.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_unknown_receipts_and_parameters(whole: Api) -> None:
    problem(whole.client.get("/v1/receipts/none"), 404, "not_found")
    problem(whole.client.get("/v1/receipts/none/payload"), 404, "not_found")
    document = problem(whole.client.get(f"/v1/receipts/{sent(whole)}?x=1"), 400, "invalid")
    assert [fault["path"] for fault in document["errors"]] == ["$query.x"]


def test_the_log_answers_for_what_is_durable_while_the_store_is_away(api: Api) -> None:
    receipt = api.client.post("/v1/feeds/dropzone", content=SENT).json()["id"]
    answer = api.client.get(f"/v1/receipts/{receipt}")
    assert (answer.status_code, answer.json()["state"], answer.json()["accepted"]) == (200, "stored", None)
    assert api.client.get(f"/v1/receipts/{receipt}/payload").content == SENT


def test_what_only_the_store_knows_is_503_while_it_is_away(api: Api) -> None:
    for path in ("/v1/receipts/other", "/v1/series", "/v1/series/count", "/v1/rejections", "/v1/feeds/dropzone/rows"):
        answer = api.client.get(path)
        problem(answer, 503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1


def test_a_body_that_cannot_be_unpacked_is_in_the_ledger(whole: Api) -> None:
    packed = gzip.compress(SENT)[:-3]
    answer = whole.client.post("/v1/feeds/dropzone", content=packed, headers={"Content-Encoding": "gzip"})
    url = f"/v1/receipts/{problem(answer, 400, 'invalid')['receipt']}"
    deadline = time.monotonic() + 60
    while (receipt := whole.client.get(url).json())["state"] == "stored":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (receipt["state"], receipt["accepted"], receipt["rejected"]) == ("refused", 0, 1)
    assert receipt["reasons"] == {"invalid_encoding": 1}
    assert receipt["sha256"] == hashlib.sha256(packed).hexdigest()
    (item,) = whole.client.get(receipt["links"]["rejections"]).json()["items"]
    assert item["reasons"] == ["invalid_encoding"]
    assert whole.client.get(receipt["links"]["payload"]).content == packed
