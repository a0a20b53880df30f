"""Payloads in, receipts out: what is answered 2xx is in the log, byte for byte."""

import gzip
import hashlib
import json
import zlib
from typing import Any

import httpx
import pytest
import zstandard

from tests.api.samples import body, fix, problem, row
from tests.support.api import SECRET, Api
from tidemill.model.payload import EntryKind, Payload

LINES = b"\n".join(body(row()) for _ in range(3)) + b"\n"


def kept(api: Api, receipt: str) -> Payload:
    entry = api.services.log.find("default", receipt)
    assert entry is not None, "an acknowledged payload is not in the log"
    return entry.payload


def post(api: Api, content: bytes, feed: str = "dropzone", **headers: str) -> httpx.Response:
    return api.client.post(f"/v1/feeds/{feed}", content=content, headers=headers)


def test_a_payload_is_durable_before_its_receipt(api: Api) -> None:
    sent = body(row())
    answer = post(api, sent)
    assert answer.status_code == 202
    receipt = answer.json()
    assert answer.headers["location"] == f"/v1/receipts/{receipt['id']}"
    assert receipt["sha256"] == hashlib.sha256(sent).hexdigest()
    assert (receipt["feed"], receipt["bytes"], receipt["state"]) == ("dropzone", len(sent), "stored")
    assert (receipt["accepted"], receipt["rejected"], receipt["reasons"]) == (None, None, {})
    assert receipt["rules_version"] == 1
    assert set(receipt["links"]) == {"self", "payload", "rejections"}
    payload = kept(api, receipt["id"])
    assert (payload.body, payload.kind, payload.format) == (sent, EntryKind.DATA, "json")


def test_a_fix_is_answered_200_when_durable(api: Api) -> None:
    sent = body(fix())
    answer = api.client.put("/location", content=sent)
    assert answer.status_code == 200
    payload = kept(api, answer.json()["id"])
    assert (payload.feed, payload.body, payload.kind) == ("location", sent, EntryKind.DATA)


def test_a_trailing_slash_makes_no_difference(api: Api) -> None:
    assert api.client.put("/location/", json=fix()).status_code == 200
    assert api.client.post("/v1/feeds/dropzone/", json=row()).status_code == 202


@pytest.mark.parametrize(
    ("content_type", "content", "settled"),
    [
        ("application/json", body(row()), "json"),
        ("application/json; charset=utf-8", body(row()), "json"),
        ("application/vnd.example+json", body(row()), "json"),
        ("application/x-ndjson", LINES, "ndjson"),
        ("application/jsonl", LINES, "ndjson"),
        ("application/x-www-form-urlencoded", body(row()), "json"),
        ("application/x-www-form-urlencoded", LINES, "ndjson"),
        ("application/octet-stream", LINES, "ndjson"),
        ("text/plain", json.dumps(row(), indent=2).encode(), "json"),
        ("text/plain", b"\xef\xbb\xbf" + body(row()), "json"),
        (None, body([row(), row()]), "json"),
        (None, LINES, "ndjson"),
    ],
)
def test_the_format_is_what_the_type_says_or_how_the_body_looks(
    api: Api, content_type: str | None, content: bytes, settled: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = post(api, content, **headers)
    assert answer.status_code == 202, answer.text
    assert kept(api, answer.json()["id"]).format == settled


@pytest.mark.parametrize("kind", ["image/png", "text/csv", "multipart/form-data; boundary=x", "application/xml", "x"])
def test_an_unknown_type_is_refused_with_what_is_taken(api: Api, kind: str) -> None:
    document = problem(post(api, b"{}", **{"Content-Type": kind}), 415, "unsupported_media_type")
    assert "application/json" in document["detail"]
    assert "application/x-ndjson" in document["detail"]


def test_a_charset_other_than_utf8_is_refused(api: Api) -> None:
    sent = json.dumps(row()).encode("utf-16")
    for charset, packed in (("utf-16", False), ("UTF-16", True), ('"latin-1"', False)):
        kind = {"Content-Type": f"application/json; charset={charset}"}
        content = gzip.compress(sent) if packed else sent
        answer = post(api, content, **kind, **({"Content-Encoding": "gzip"} if packed else {}))
        document = problem(answer, 415, "unsupported_media_type")
        name = charset.strip('"').lower()
        assert f"'{name}'" in document["detail"]
        assert [(fault["path"], fault["code"]) for fault in document["errors"]] == [
            ("$header.Content-Type", "unknown_charset")
        ]
        payload = kept(api, document["receipt"])
        assert (payload.body, payload.kind, payload.format) == (sent, EntryKind.REFUSED, name)
        assert api.client.get(f"/v1/receipts/{document['receipt']}/payload").content == sent


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("zstd", zstandard.compress),
        ("identity", bytes),
    ],
)
def test_packed_bodies_are_kept_unpacked(api: Api, name: str, pack: Any) -> None:
    sent = body(row(data=list(range(1000))))
    answer = post(api, pack(sent), **{"Content-Encoding": name})
    assert answer.status_code == 202, answer.text
    assert answer.json()["sha256"] == hashlib.sha256(sent).hexdigest()
    assert kept(api, answer.json()["id"]).body == sent


GOOD = body(row(data=list(range(100))))
BROKEN_PACKED = {
    "gzip, of two the second cut": ("gzip", gzip.compress(GOOD) + gzip.compress(GOOD)[:-4], "cut off"),
    "gzip and garbage": ("gzip", gzip.compress(GOOD) + b"x", "bytes follow"),
    "gzip cut": ("gzip", gzip.compress(GOOD)[:-4], "cut off"),
    "gzip wrong sum": ("gzip", gzip.compress(GOOD)[:-8] + b"12345678", "incorrect data check"),
    "no gzip": ("gzip", GOOD, "incorrect header"),
    "zlib as gzip": ("x-gzip", zlib.compress(GOOD), "incorrect header"),
    "gzip empty": ("gzip", b"", "cut off"),
    "zstd, of two the second cut": ("zstd", zstandard.compress(GOOD) * 2 + zstandard.compress(GOOD)[:-1], "cut off"),
    "zstd and garbage": ("zstd", zstandard.compress(GOOD) + b"x", "bytes follow"),
    "zstd cut": ("zstd", zstandard.compress(GOOD)[:-3], "cut off"),
    "no zstd": ("zstd", GOOD, "not of whole zstd streams"),
    "zstd empty": ("zstd", b"", "cut off"),
}


@pytest.mark.parametrize(("name", "content", "why"), BROKEN_PACKED.values(), ids=BROKEN_PACKED)
@pytest.mark.parametrize("feed", ["dropzone", "telemetry"])
def test_a_packed_body_that_cannot_be_unpacked_is_kept_as_it_came(
    api: Api, feed: str, name: str, content: bytes, why: str
) -> None:
    document = problem(post(api, content, feed, **{"Content-Encoding": name}), 400, "invalid")
    assert [fault["code"] for fault in document["errors"]] == ["invalid_encoding"]
    assert why in document["detail"]
    payload = kept(api, document["receipt"])
    assert (payload.body, payload.kind, payload.format) == (content, EntryKind.REFUSED, name.removeprefix("x-"))
    assert payload.sha256 == hashlib.sha256(content).digest()
    bytes_of_it = api.client.get(f"/v1/receipts/{document['receipt']}/payload")
    assert (bytes_of_it.content, bytes_of_it.headers.get("content-encoding")) == (content, None)


@pytest.mark.parametrize("name", ["gzip, gzip", "br", "deflate", "gzip, identity, zstd", "x" * 500])
def test_other_encodings_are_refused(api: Api, name: str) -> None:
    answer = post(api, gzip.compress(GOOD), **{"Content-Encoding": name})
    problem(answer, 415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "gzip, zstd"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize(("size", "limit"), [(90_000, "max_ratio"), (10_000_000, "max_ratio")])
def test_bombs_are_refused_by_their_ratio(api: Api, pack: Any, size: int, limit: str) -> None:
    packed = pack(b" " * size)
    name = "gzip" if packed[:2] == b"\x1f\x8b" else "zstd"
    document = problem(post(api, packed, **{"Content-Encoding": name}), 413, "too_large")
    assert [fault["code"] for fault in document["errors"]] in ([limit], ["max_unpacked"])


def test_a_body_that_unpacks_to_more_than_the_limit_is_refused(api: Api) -> None:
    packed = gzip.compress(b"".join(hashlib.sha256(b"%d" % n).hexdigest().encode() for n in range(400)) * 5, 9)
    assert len(packed) < 20_000
    document = problem(post(api, packed, **{"Content-Encoding": "gzip"}), 413, "too_large")
    assert [fault["code"] for fault in document["errors"]] == ["max_unpacked"]


def test_a_body_over_the_limit_is_refused_and_not_kept(api: Api) -> None:
    before = api.services.log.last_seq()
    document = problem(post(api, b" " * 20_001), 413, "too_large")
    assert "20000" in document["detail"]
    assert [fault["code"] for fault in document["errors"]] == ["max_body"]
    assert "receipt" not in document
    assert api.services.log.last_seq() == before


def test_a_payload_of_exactly_the_limit_is_taken(api: Api) -> None:
    assert post(api, body(row()).ljust(20_000)).status_code == 202


def test_an_unknown_feed_is_not_found_and_the_connection_stays(api: Api) -> None:
    problem(post(api, body(row()), feed="nope"), 404, "not_found")
    problem(post(api, body(row()), feed="..%2f..%2fx"), 404, "not_found")
    assert post(api, body(row())).status_code == 202


def test_a_feed_that_rejects_takes_faulty_records(api: Api) -> None:
    answer = post(api, b"not JSON at all", feed="telemetry")
    assert answer.status_code == 202
    assert kept(api, answer.json()["id"]).kind is EntryKind.DATA


def test_a_feed_says_which_formats_it_takes(api: Api) -> None:
    document = problem(
        post(api, LINES, feed="signals", **{"Content-Type": "application/x-ndjson"}), 415, "unsupported_media_type"
    )
    assert "json" in document["detail"]


def test_the_mill_is_told(api: Api) -> None:
    api.hints.receive()
    post(api, body(row()))
    assert (api.hints.wait(2) or 0) >= 1


def test_without_a_store_an_asked_for_outcome_is_202_in_time(api: Api) -> None:
    answer = post(api, body(row()), Prefer="wait=0.05")
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("prefer", ["wait=x", "respond-async", "wait=-1", "wait=1e9", ""])
def test_a_preference_that_makes_no_sense_is_passed_over(api: Api, prefer: str) -> None:
    assert post(api, body(row()), Prefer=prefer).status_code == 202


def test_the_same_key_and_body_is_the_same_receipt(api: Api) -> None:
    sent = body(row())
    first, again = (post(api, sent, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    problem(post(api, body(row()), **{"Idempotency-Key": "k1"}), 409, "conflict")


def test_a_key_is_not_longer_than_stated(api: Api) -> None:
    assert post(api, body(row()), **{"Idempotency-Key": "k" * 255}).status_code == 202
    document = problem(post(api, body(row()), **{"Idempotency-Key": "k" * 256}), 400, "invalid")
    assert [fault["path"] for fault in document["errors"]] == ["$header.Idempotency-Key"]


def test_lines_that_curl_joined_are_read_as_lines(api: Api) -> None:
    joined = LINES.replace(b"\n", b"")  # what `curl -d @file` does
    answer = post(api, joined, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 202, answer.text
    payload = kept(api, answer.json()["id"])
    assert (payload.body, payload.format) == (joined, "ndjson")


def test_lines_that_curl_joined_get_a_hint_where_they_cannot_be_told_apart(api: Api) -> None:
    joined = LINES.replace(b"\n", b"") + b'{"time_stamp": '
    answer = post(api, joined, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert "send lines with --data-binary: curl -d takes their ends out" in problem(answer, 400, "invalid")["detail"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_members_and_frames_in_a_row_are_one_body(api: Api, pack: Any) -> None:
    packed = b"".join(pack(line) for line in LINES.splitlines(keepends=True))
    name = "gzip" if packed[:2] == b"\x1f\x8b" else "zstd"
    answer = post(api, packed, **{"Content-Encoding": name, "Content-Type": "application/x-ndjson"})
    assert answer.status_code == 202, answer.text
    assert kept(api, answer.json()["id"]).body == LINES
    bombs = b"".join(pack(b" " * 60_000) for _ in range(20))
    document = problem(post(api, bombs, **{"Content-Encoding": name}), 413, "too_large")
    assert [fault["code"] for fault in document["errors"]] in (["max_ratio"], ["max_unpacked"])


def test_one_broken_document_from_curl_gets_no_hint_of_lines(api: Api) -> None:
    answer = post(api, b'{"time_stamp": }', **{"Content-Type": "application/x-www-form-urlencoded"})
    assert problem(answer, 400, "invalid")["detail"] == (
        "The feed 'dropzone' refuses this payload. $: not JSON: Expecting value at line 1, column 16."
    )


def test_a_sentence_about_a_local_time_that_never_was_ends_once(api: Api) -> None:
    fix = {"timestamp": "2026-03-08 02:30:00", "lat": 40.7, "long": -73.9, "accuracy": 1, "speed": 1, "user_id": "gap"}
    refused = problem(api.client.put("/location", json=fix), 400, "invalid")
    assert refused["errors"][0]["code"] == "dst_gap"
    assert refused["detail"].endswith(".") and not refused["detail"].endswith("..")


def test_an_unknown_feed_is_answered_with_where_the_feeds_are(api: Api) -> None:
    answer = api.client.post("/v1/feeds/dropzones", content=body(row()))
    detail = problem(answer, 404, "not_found")["detail"]
    assert detail == "there is no feed 'dropzones'; GET /v1/feeds lists those that there are"


def test_a_refused_payload_does_not_use_up_its_key(api: Api) -> None:
    problem(post(api, b"{}", **{"Idempotency-Key": "k2"}), 400, "invalid")
    assert post(api, body(row()), **{"Idempotency-Key": "k2"}).status_code == 202


def test_sources_submit_with_the_secret_only(api: Api) -> None:
    path = "/internal/payloads?tenant=default&feed=telemetry"
    sent = b'{"time": 1, "value": [0, 0, 0, 0], "tags": []}'
    problem(api.client.post(path, content=sent), 404, "not_found")
    problem(api.client.post(path, content=sent, headers={"X-Tidemill-Secret": "x"}), 404, "not_found")
    secret = {"X-Tidemill-Secret": SECRET}
    answer = api.client.post(path, content=sent, headers=secret)
    assert answer.status_code == 202
    assert kept(api, answer.json()["id"]).feed == "telemetry"
    page = api.client.post(path, content=b"<html>", headers=secret | {"Content-Type": "text/html"})
    assert kept(api, page.json()["id"]).body == b"<html>", "what a source says of its format is not believed"
    document = problem(api.client.post("/internal/payloads?feed=x", headers=secret), 400, "invalid")
    assert [fault["path"] for fault in document["errors"]] == ["$query.tenant"]
