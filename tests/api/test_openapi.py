"""The OpenAPI document: complete, valid in itself, and true: every status that it documents is reached here."""

import gzip
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
import zstandard

from tests.api.samples import body, fix, row
from tests.api.test_prometheus import PROTOBUF, sample, snappy
from tests.api.test_prometheus import series as remote_series
from tests.support.api import Api, running_api
from tidemill.api.app import HANDLERS, Document
from tidemill.api.body import MAX_REQUESTS
from tidemill.api.forecast_request import ForecastBody
from tidemill.api.guide import GUIDE_ROUTES
from tidemill.api.job_request import VerifyBody
from tidemill.api.openapi import TAGS
from tidemill.api.page import PAGE_FILE_ROUTES
from tidemill.api.pages import PAGE_ROUTES
from tidemill.api.replay_request import RejectionsBody, ReplayBody
from tidemill.api.wrong_keys import MAX_A_MINUTE
from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.catalog.keys import create_key
from tidemill.catalog.replays import CatalogReplays
from tidemill.feeds.recipes import RECIPES
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.model.ids import new_receipt
from tidemill.model.replay import Replay, ReplayOutcome, ReplayRequest
from tidemill.settings import Settings

DOCUMENT = Document().data
OPERATIONS = {
    (method, path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if "responses" in operation
}
DOCUMENTED = [
    (method, path, int(status))
    for (method, path), operation in OPERATIONS.items()
    for status in operation["responses"]
    if status != "default"
]
INTAKE = {("put", "/location"), ("post", "/v1/feeds/{feed}"), ("post", "/v1/series")}
OPEN = {  # routes of open feeds, each with the parameter that names the feed
    ("post", "/v1/points"): "feed",
    ("post", "/write"): "db",
    ("post", "/api/v2/write"): "bucket",
    ("post", "/api/v3/write_lp"): "db",
    ("post", "/api/v1/write"): "feed",
}
PUT_FEED = ("put", "/v1/feeds/{feed}")
POST_REPLAY = ("post", "/v1/replays")
POST_JOB = ("post", "/v1/jobs")
POST_QUERY = ("post", "/v1/query")
POST_TRIAL = ("post", "/v1/feeds/trial")
DIFFERENCE = "/v1/replays/{replay}/difference"
POST_FORECAST = ("post", "/v1/forecasts")
REPLAY = {"feed": "dropzone", "start": "2100-01-01T00:00:00Z"}
VERIFY = {"kind": "verify", "feed": "dropzone", "since": "2100-01-01T00:00:00Z"}
CANCELS = {"/v1/replays/{replay}": (POST_REPLAY, "replay"), "/v1/jobs/{job}": (POST_JOB, "job")}
WAIT = {"Prefer": "wait=10"}
AT_ONCE = {"Prefer": "wait=0"}
SERIES = {"name": "documented", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1, 2, 4] * 32}
DELETIONS = {
    "/v1/feeds/{feed}": {"data": "delete"},
    "/v1/feeds/{feed}/data": {},
    "/v1/receipts/{receipt}": {},
    "/v1/feeds/{feed}/points": {"end": "1900-01-01"},
    "/v1/series/{series}/points": {"end": "1900-01-01"},
}
METER = {"measurement": "energy", "timestamp": "2023-02-01T00:00:00Z", "tags": {"muid": "m1"}, "0100011D00FF": 0.5}


TWO_FIELDS = """
name = "two_fields"
time = { path = "$.t", format = "unix_s" }
fields = { a = { path = "$.a" }, b = { path = "$.b" } }
"""


class Houses(msgspec.Struct):
    """Every state of the house that some status needs, and what there is in it to ask for."""

    alone: Api
    whole: Api
    keyed: Api
    full: Api
    tired: Api
    bounded: Api
    guessed: Api
    known: dict[str, str]


@pytest.fixture(scope="module")
def houses(api: Api, whole: Api, keyed: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Houses]:
    address = whole.services.store.address
    full, tired = tmp_path_factory.mktemp("full"), tmp_path_factory.mktemp("tired")
    receipt = whole.client.post("/v1/feeds/dropzone", json=row(time_stamp="2021-01-01T00:00:00Z"), headers=WAIT).json()
    whole.client.put("/location", json=fix())
    series = whole.client.post("/v1/series", json=SERIES).json()
    whole.client.post("/v1/feeds/meters", json={"data": [METER]})
    whole.client.post("/v1/feeds/telemetry", content=b"x")
    whole.client.post(
        "/v1/feeds/telemetry", json={"time": int(time.time()), "value": [0, 0, 0, 0], "tags": []}, headers=WAIT
    )
    known = {"receipt": receipt["id"], "series": series["id"], "feed": "dropzone", "time": "2021-01-01T00:00:00Z"}
    known |= {"version": "1", "rule": "range", "key": "0" * 16, "index": "0"}
    known["replay"] = whole.client.post("/v1/replays", json=REPLAY, headers=WAIT).json()["id"]
    known["job"] = known["replay"]
    known["deletion_id"] = whole.client.delete("/v1/feeds/dropzone/points?end=1900-01-01", headers=WAIT).json()["id"]
    fresh = {"series": series["id"], "horizon": 2}
    known["forecast"] = whole.client.post("/v1/forecasts", json=fresh, headers=WAIT).json()["id"]
    bounded_folder = tmp_path_factory.mktemp("bounded")
    one_series = Settings(data=str(bounded_folder), max_series=1)  # the tenant has more, and none of the new name
    with (
        running_api(full, store=address, limits=LogLimits(min_free_bytes=1 << 60)) as no_disk,
        running_api(
            tired, store=address, store_settings={"max_memory_usage": 1, "max_untracked_memory": 0}
        ) as impatient,
        running_api(bounded_folder, store=address, settings=one_series) as bounded,
        running_api(tmp_path_factory.mktemp("guessed"), open_access=False) as guessed,
    ):
        forecast = CatalogForecasts(whole.services.catalog).get("default", known["forecast"])
        for other in (api, impatient):  # where the store cannot say whether it may be shown
            CatalogForecasts(other.services.catalog).put(forecast)
        yield Houses(api, whole, keyed, no_disk, impatient, bounded, guessed, known)


def url(path: str, known: dict[str, str]) -> str:
    """A documented path with its parameters filled in."""
    other = {"/v1/feeds/{feed}/rollups": "location", "/v1/feeds/{feed}/points": "telemetry"}.get(path)
    if other and known["feed"] != "never":
        known = known | {"feed": other}
    return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], path)


def sent(path: str) -> bytes:
    return body({"/location": fix(), "/v1/series": SERIES}.get(path) or row())


def ask(api: Api, method: str, path: str, known: dict[str, str], **options: Any) -> httpx.Response:
    """The request of an operation as it should be; `options` change it."""
    if (method, path) in INTAKE:
        options = {"content": sent(path)} | options
    if (method, path) == PUT_FEED:
        options = {"content": RECIPES["dropzone"].replace('"dropzone"', f'"{known["feed"]}"')} | options
    bodies: dict[tuple[str, str], Callable[[], Any]] = {
        POST_REPLAY: lambda: REPLAY,
        POST_JOB: lambda: VERIFY,
        POST_QUERY: lambda: {"select": {"series": [known["series"]]}, "every": "1h"},
        POST_FORECAST: lambda: {"series": known["series"], "horizon": 2},
        POST_TRIAL: lambda: {"definition": RECIPES["dropzone"], "receipt": known["receipt"]},
    }
    if (method, path) in bodies:
        options = {"json": bodies[method, path]()} | options
    if path == DIFFERENCE and known["replay"] != "never":
        known = known | {"replay": concluded_replay(api)}
    if path == "/v1/points":
        options.setdefault("params", {"series": known["series"], "every": "1h"})
    if method == "delete" and path in DELETIONS:
        options.setdefault("params", DELETIONS[path] | {"dry_run": "true"})
    if path == "/v1/find":
        options.setdefault("params", {"q": "any"})
    if path == "/meterdata/measurement":
        options.setdefault("params", {"muid": "m1", "measurement": "energy", "limit": "10"})
    if path in ("/v1/why", "/v1/series/{series}/lineage"):
        named = {"series": known["series"]} if path == "/v1/why" else {}
        options.setdefault("params", {"time": SERIES["start"], **named})
    if path in ("/v1/series/{series}/correlation", "/v1/series/{series}/comparison"):
        options.setdefault("params", {"with": known["series"]})
    if path.endswith("/stream"):  # has no end
        with api.client.stream(method, url(path, known), **options) as answer:
            return (
                answer
                if answer.status_code == 200
                else httpx.Response(answer.status_code, headers=answer.headers, content=answer.read())
            )
    return api.client.request(method, url(path, known), **options)


def concluded_replay(api: Api) -> str:
    """A replay in the catalog of this house that is over and changed nothing."""
    request = ReplayRequest(feed="dropzone", version=1, dry_run=True)
    made = {"id": new_receipt(time.time_ns()), "tenant": "default", "request": request, "created_ns": time.time_ns()}
    job = Replay(**made, state="done", result=ReplayOutcome())
    CatalogReplays(api.services.catalog).create(job)
    return job.id


def key(api: Api, scope: str, tenant: str = "default") -> dict[str, str]:
    _, secret = create_key(api.services.catalog, tenant, scope.split(","))
    api.services.keys.refresh()
    return {"X-API-Key": secret}


def good(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.whole, method, path, houses.known)


def waited(houses: Houses, method: str, path: str) -> httpx.Response:
    if method == "delete" and (path in DELETIONS or path == "/v1/series/{series}"):
        return deletion(houses, method, path, WAIT)
    if (method, path) == POST_FORECAST:
        headers = WAIT | {"Idempotency-Key": "once"}
        ask(houses.whole, method, path, houses.known, headers=headers)
        return ask(houses.whole, method, path, houses.known, headers=headers)
    if (method, path) == ("delete", "/v1/forecasts/{forecast}"):
        return ask(houses.whole, method, path, {"forecast": created(houses, *POST_FORECAST).json()["id"]})
    if (method, path) in INTAKE | {POST_REPLAY, POST_JOB}:
        return ask(houses.whole, method, path, houses.known, headers=WAIT)
    if method == "delete" and path in CANCELS:  # where nobody works on it
        route, name = CANCELS[path]
        queued = ask(houses.alone, *route, houses.known).json()["id"]
        return ask(houses.alone, method, path, houses.known | {name: queued})
    return good(houses, method, path)


def created(houses: Houses, method: str, path: str) -> httpx.Response:
    if (method, path) == PUT_FEED:
        return ask(houses.whole, method, path, {"feed": "documented"})
    return ask(houses.whole, method, path, houses.known, headers=WAIT)


def stored(houses: Houses, method: str, path: str) -> httpx.Response:
    if method == "delete":
        return deletion(houses, method, path, AT_ONCE)
    if (method, path) in (POST_REPLAY, POST_JOB):
        return good(houses, method, path)
    if (method, path) == POST_FORECAST:
        return ask(houses.whole, method, path, houses.known, headers=AT_ONCE)
    return ask(houses.alone, method, path, houses.known)


def deleted(houses: Houses, method: str, path: str) -> httpx.Response:
    series = houses.whole.client.post("/v1/series", json=SERIES | {"name": "to delete"}).json()["id"]
    houses.whole.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)
    return ask(houses.whole, method, path, houses.known | {"series": series})


def deletion(houses: Houses, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """A deletion that is none of what the other requests are about."""
    client = houses.whole.client
    if path == "/v1/series/{series}":
        client.put("/v1/feeds/two_fields", content=TWO_FIELDS)
        client.post("/v1/feeds/two_fields", json={"t": 1, "a": 1, "b": 2}, headers=WAIT)
        items = client.get("/v1/series?feed=two_fields").json()["items"]
        return ask(houses.whole, method, path, houses.known | {"series": items[0]["id"]}, headers=headers)
    fresh = client.post("/v1/feeds/dropzone", json=row(), headers=WAIT).json()["id"]
    known = houses.known | {"receipt": fresh}
    if path in ("/v1/feeds/{feed}", "/v1/feeds/{feed}/data"):
        client.put("/v1/feeds/two_fields", content=TWO_FIELDS)
        known |= {"feed": "two_fields"}
    return ask(houses.whole, method, path, known, params=DELETIONS[path], headers=headers)


def deleted_already(houses: Houses, method: str, path: str) -> httpx.Response:
    if "{receipt}" not in path and (method, path) != POST_TRIAL:  # a feed that was removed
        feed = {"/location": "location", "/v1/series": "signals"}.get(path, "dropzone")
        admin = key(houses.keyed, "admin", "removed")
        houses.keyed.client.put(f"/v1/feeds/{feed}", content=RECIPES[feed], headers=admin)
        houses.keyed.client.delete(f"/v1/feeds/{feed}", params={"data": "keep"}, headers=admin)
        scoped = key(houses.keyed, "read,write,admin", "removed")
        return ask(houses.keyed, method, path, {"feed": feed}, headers=scoped)
    fresh = houses.whole.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT).json()["id"]
    houses.whole.client.delete(f"/v1/receipts/{fresh}", headers=WAIT)
    return ask(houses.whole, method, path, houses.known | {"receipt": fresh})


def malformed(houses: Houses, method: str, path: str) -> httpx.Response:
    if (method, path) in INTAKE:
        return ask(houses.alone, method, path, houses.known, content=b"{")
    return ask(houses.whole, method, path, houses.known, params={"no_such_parameter": "1"})


def without_key(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.keyed, method, path, houses.known)


def wrong_scope(houses: Houses, method: str, path: str) -> httpx.Response:
    scope = "write" if method == "get" or (method, path) == POST_QUERY else "read"
    return ask(houses.keyed, method, path, houses.known, headers=key(houses.keyed, scope))


def missing(houses: Houses, method: str, path: str) -> httpx.Response:
    if (method, path) in INTAKE:  # a tenant without feeds
        return ask(houses.keyed, method, path, houses.known, headers=key(houses.keyed, "write", "bare"))
    never = {"receipt": "01a200c7-1b60-74c3-be95-2838c89ec96f", "series": "0" * 16, "feed": "never", "time": "x"}
    never |= {
        "version": "1",
        "index": "0",
        "rule": "never",
        "deletion_id": "never",
        "replay": "never",
        "job": "never",
        "forecast": "never",
    }
    if path == "/v1/verify":
        return ask(houses.whole, method, path, never, params={"feed": "never"})
    return ask(houses.whole, method, path, never)


def too_slow(houses: Houses, method: str, path: str) -> httpx.Response:
    with socket.create_connection(("127.0.0.1", houses.alone.port), timeout=5) as wire:
        where = url(path, houses.known)
        wire.sendall(f"{method.upper()} {where} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n".encode())
        head, _, content = wire.makefile("rb").read().partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return httpx.Response(int(lines[0].split()[1]), headers=headers, content=content)


def contradicting(houses: Houses, method: str, path: str) -> httpx.Response:
    if path in CANCELS:
        return good(houses, method, path)
    if path == DIFFERENCE:  # nobody works on it
        queued = ask(houses.alone, *POST_REPLAY, houses.known).json()["id"]
        return houses.alone.client.get(url(path, houses.known | {"replay": queued}))
    if (method, path) == ("delete", "/v1/feeds/{feed}"):  # a replay of it is queued, and nobody works on it
        houses.alone.client.put("/v1/feeds/two_fields", content=TWO_FIELDS)
        houses.alone.client.post("/v1/replays", json={"feed": "two_fields", "start": "2026-01-01T00:00:00Z"})
        return ask(houses.alone, method, path, {"feed": "two_fields"}, params=DELETIONS[path])
    if (method, path) == POST_FORECAST:
        headers = WAIT | {"Idempotency-Key": "twice"}
        ask(houses.whole, method, path, houses.known, headers=headers)
        other = {"series": houses.known["series"], "horizon": 3}
        return ask(houses.whole, method, path, houses.known, headers=headers, json=other)
    if method == "delete":
        (shared,) = houses.whole.client.get("/v1/series?feed=dropzone&limit=1").json()["items"]
        return ask(houses.whole, method, path, houses.known | {"series": shared["id"]})
    headers = {"Idempotency-Key": f"{method} {path}"}
    ask(houses.alone, method, path, houses.known, headers=headers)
    changed = sent(path).replace(b"1", b"2", 1) if path == "/v1/series" else sent(path)
    return ask(houses.alone, method, path, houses.known, headers=headers, content=changed + b" ")


def stale(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.whole, method, path, houses.known, headers={"If-Match": '"99"'})


def too_large(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.alone, method, path, houses.known, content=b" " * 5_000_000)


def unreadable(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.alone, method, path, houses.known, headers={"Content-Type": "image/png"})


def too_big_a_question(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.tired, method, path, houses.known)


def misnamed(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.alone, method, path, houses.known, headers={"Host": "evil.example"})


def guessing(houses: Houses, method: str, path: str) -> httpx.Response:
    for _ in range(MAX_A_MINUTE + 1):
        answer = ask(houses.guessed, method, path, houses.known, headers={"X-API-Key": "tm_guess"})
        if answer.status_code != 401:
            break
    return answer


def unchanged(houses: Houses, method: str, path: str) -> httpx.Response:
    options: dict[str, Any] = {}
    closed = {"every": "1h", "start": "2021-01-01", "end": "2022-01-01"}
    if path == "/v1/points":
        options["params"] = {"series": houses.known["series"], **closed}
    if (method, path) == POST_QUERY:
        options["json"] = {"select": {"series": [houses.known["series"]]}, **closed}
    tag = ask(houses.whole, method, path, houses.known, **options).headers.get("etag", "*")
    return ask(houses.whole, method, path, houses.known, headers={"If-None-Match": tag}, **options)


def in_part(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.whole, method, path, houses.known, headers={"Range": "bytes=1-2"})


def beyond_its_end(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.whole, method, path, houses.known, headers={"Range": "bytes=99999999-"})


def close_log(api: Api) -> None:
    log = api.services.log
    assert isinstance(log, SqliteLog)
    log.close()


def unavailable(houses: Houses, method: str, path: str) -> httpx.Response:
    if path in ("/readyz", "/health"):
        return houses.full.client.get(path)
    if (method, path) in INTAKE:
        close_log(houses.tired)
        return ask(houses.tired, method, path, houses.known)
    return ask(houses.alone, method, path, houses.known)


def no_disk(houses: Houses, method: str, path: str) -> httpx.Response:
    return ask(houses.full, method, path, houses.known)


def of_session(houses: Houses, method: str, path: str, status: int) -> httpx.Response:
    """A request of a browser's session, which needs no key."""
    if status == 421:
        return misnamed(houses, method, path)
    if status == 429:
        return guessing_at_sign_in(houses) if method == "post" else guessing(houses, method, path)
    client, signed_in = houses.keyed.client, key(houses.keyed, "read")
    sent: dict[str, Any] = {"json": {"key": signed_in["X-API-Key"]}} if method == "post" else {}
    if status == 400:
        sent = {"content": b"{"}
    if status == 401:
        sent = {"json": {"key": "tm_wrong"}} if method == "post" else {"headers": {"X-API-Key": "tm_wrong"}}
    if status == 403:  # a session, and no token against forgery
        client.post("/v1/session", json={"key": signed_in["X-API-Key"]})
    answer = client.request(method, path, **sent)
    client.cookies.clear()
    return answer


def guessing_at_sign_in(houses: Houses) -> httpx.Response:
    for _ in range(MAX_A_MINUTE + 1):
        answer = houses.guessed.client.post("/v1/session", json={"key": "tm_guess"})
        if answer.status_code != 401:
            break
    return answer


def of_open_feed(houses: Houses, method: str, path: str, status: int) -> httpx.Response:
    """A payload of an open feed, or one that is answered with this status."""
    names = {409: "dropzone", 410: "documented_removed"}
    house = {202: houses.alone, 422: houses.bounded, 503: houses.tired, 507: houses.full}.get(status, houses.whole)
    if status == 408:
        return too_slow(houses, method, f"{path}?{OPEN[method, path]}=documented_open")
    if status == 503:
        close_log(house)
    name = names.get(status, f"documented_open_{status}")
    content, headers = b"m,host=a v=1 1700000000000000000", WAIT if status == 200 else {}
    if path == "/api/v1/write":
        content = snappy(remote_series({"__name__": "m"}, sample(1.0, 1_700_000_000_000)))
        headers = PROTOBUF
    if status == 410:
        house.client.post(path, params={OPEN[method, path]: name}, content=content, headers=headers)
        house.client.delete(f"/v1/feeds/{name}", params={"data": "keep"})
    if status in (400, 413):
        content = b"m" if status == 400 else b" " * 70_000_000
    if status == 415:
        headers = {"Content-Encoding": "compress"}
    params = {OPEN[method, path]: name} | ({"precision": "weeks"} if status == 400 else {})
    return house.client.post(path, params=params, content=content, headers=headers)


def of_keys(houses: Houses, method: str, path: str, status: int) -> httpx.Response:
    """A request about the keys of a tenant of its own, so that no other request needs one."""
    client, admin = houses.keyed.client, key(houses.keyed, "admin", "lonely" if status == 409 else "keys")
    items = client.get("/v1/keys", headers=admin).json()["items"]
    if status == 404:
        items = [{"id": "never"}]
    sent: dict[str, Any] = {"content": b"{"} if status == 400 else {"json": {"scopes": ["read"]}}
    return client.request(
        method, url(path, {"key": items[0]["id"]}), headers=admin, **(sent if method == "post" else {})
    )


def of_retention(houses: Houses, method: str, path: str, status: int) -> httpx.Response:
    headers = {"If-Match": '"99"'} if status == 412 else {}
    points = "soon" if status == 400 else None
    where = url(path, {"feed": "never" if status == 404 else "dropzone"})
    return houses.whole.client.request(method, where, json={"points": points}, headers=headers)


SPECIAL: dict[str, Callable[[Houses, str, str, int], httpx.Response]] = {
    "/v1/session": of_session,
    "/v1/keys": of_keys,
    "/v1/keys/{key}": of_keys,
    "/v1/feeds/{feed}/retention": of_retention,
}
ALIKE = {401, 403, 421, 429}  # as for all routes that need a key
Reach = Callable[[Houses, str, str], httpx.Response]
REACH: dict[int, Reach] = {
    200: waited,
    201: created,
    202: stored,
    204: deleted,
    206: in_part,
    304: unchanged,
    400: malformed,
    401: without_key,
    403: wrong_scope,
    404: missing,
    408: too_slow,
    409: contradicting,
    410: deleted_already,
    412: stale,
    413: too_large,
    415: unreadable,
    416: beyond_its_end,
    421: misnamed,
    422: too_big_a_question,
    429: guessing,
    503: unavailable,
    507: no_disk,
}


@pytest.mark.parametrize(("method", "path", "status"), DOCUMENTED, ids=str)
def test_every_documented_status_is_reached(houses: Houses, method: str, path: str, status: int) -> None:
    if path == "/v1/session" or (path in SPECIAL and status not in ALIKE):
        answer = SPECIAL[path](houses, method, path, status)
    elif (method, path) in OPEN and status not in ALIKE:
        answer = of_open_feed(houses, method, path, status)
    else:
        answer = REACH[status](houses, method, path)
    assert answer.status_code == status, answer.text
    content = OPERATIONS[method, path]["responses"][str(status)].get("content", {})
    if content and "application/octet-stream" not in content:  # a payload comes back as the type that it was
        assert answer.headers["content-type"].partition(";")[0] in {kind.partition(";")[0] for kind in content}
    if status in (429, 503, 507):
        assert int(answer.headers["retry-after"]) >= 1
    for name in OPERATIONS[method, path]["responses"][str(status)].get("headers", {}):
        assert name != "Location" or answer.headers["location"].startswith("/v1/")
    if status >= 400:
        assert set(OPERATIONS[method, path]["responses"][str(status)].get("headers", {})) <= set(
            map(str.title, answer.headers)
        ) | {"WWW-Authenticate"}


def test_every_route_is_documented(api: Api) -> None:
    pages = [*PAGE_ROUTES, *PAGE_FILE_ROUTES, *GUIDE_ROUTES]
    for handler in [handler for handler in HANDLERS if handler not in pages]:
        for path in handler.paths:
            plain = re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
            for method in handler.http_methods:
                assert (method.lower(), plain) in OPERATIONS, (method, plain)
    for method, path in INTAKE | {("delete", "/v1/series/{series}")}:
        assert (method, path) in OPERATIONS


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=str)
def test_allow_says_what_the_document_says(houses: Houses, method: str, path: str) -> None:
    documented = {each.upper() for each, other in OPERATIONS if other == path}
    documented |= {"OPTIONS"} | ({"HEAD"} if "GET" in documented else set())
    for verb in ("OPTIONS", "PATCH"):
        answer = houses.alone.client.request(verb, url(path, houses.known))
        assert answer.status_code == (204 if verb == "OPTIONS" else 405)
        assert set(answer.headers["allow"].split(", ")) == documented


@pytest.mark.parametrize("coding", ["", ",", "identity", "Identity,,", "gzip", ",GZIP,", "x-gzip", "zstd"])
def test_content_codings_are_as_documented(api: Api, coding: str) -> None:
    content = body(row())
    if "gzip" in coding.lower():
        content = gzip.compress(content)
    if coding == "zstd":
        content = zstandard.compress(content)
    answer = api.client.post("/v1/feeds/dropzone", content=content, headers={"Content-Encoding": coding})
    assert answer.status_code == 202, answer.text


def test_the_document_is_whole(api: Api) -> None:
    served = api.client.get("/openapi.json").json()
    assert served["openapi"].startswith("3.1")
    assert served == msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    text = api.client.get("/openapi.json").text
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in served["components"]["schemas"], name
    seen = set()
    for (method, path), operation in OPERATIONS.items():
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        assert set(operation["tags"]) <= set(TAGS), (method, path)
        assert operation["summary"]
        assert operation["description"]
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_the_body_of_a_replay_is_described(api: Api) -> None:
    operation = api.client.get("/openapi.json").json()["paths"]["/v1/replays"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert list(schema["properties"]) == list(ReplayBody.__struct_fields__)
    assert list(schema["properties"]["rejections"]["properties"]) == list(RejectionsBody.__struct_fields__)
    assert schema["required"] == ["feed"]
    assert "refused payloads are taken only where" in " ".join(operation["description"].split())


def test_a_body_is_described_for_every_kind_of_job(api: Api) -> None:
    operation = api.client.get("/openapi.json").json()["paths"]["/v1/jobs"]["post"]
    shapes = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    described = {shape["properties"]["kind"]["const"]: list(shape["properties"])[1:] for shape in shapes}
    bodies = {"replay": ReplayBody, "verify": VerifyBody, "forecast": ForecastBody}
    assert described == {kind: list(body.__struct_fields__) for kind, body in bodies.items()}


def test_too_many_requests_at_once_are_told_to_come_back() -> None:
    from tidemill.api.body import Gate
    from tidemill.api.problems import OverloadedError, problem_answer

    gate = Gate(max_requests=2, max_bytes=10)
    gate.enter()
    gate.enter()
    with pytest.raises(OverloadedError) as caught:
        gate.enter()
    answer = problem_answer(caught.value)
    assert answer.status == 503
    assert dict(answer.headers)[b"retry-after"] == b"1"
    gate.add_bytes(10)
    with pytest.raises(OverloadedError):
        gate.add_bytes(1)
    gate.leave(10)
    gate.enter()
    gate.add_bytes(10)
    assert MAX_REQUESTS > 1000
