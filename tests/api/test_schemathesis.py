"""What the OpenAPI document says holds for generated requests too: the status, the content type, the body and the
headers of every answer are documented ones, and nothing is answered 500.

A fixed seed: the same requests each time, but for `make fuzz`. The store is the real one, and there is something in it.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.samples import body, fix, row
from tests.support.api import Api, running_api, running_mill, running_worker
from tests.support.searching import is_fuzzing
from tidemill.api.app import Document
from tidemill.catalog.keys import create_key
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.store.migrate import migrate

WAIT = {"Prefer": "wait=10"}
SERIES = {"values": [1, 2], "start": "2026-01-01T00:00:00Z", "interval": "1s"}
LOAD = {"values": [1, 2, 3] * 5, "start": "2026-01-02T00:00:00Z", "interval": "1h"}
TAKEN = {"format", "limit", "order", "kind", "fill", "dry_run", "evidence", "quality", "recovered"}
SEEN: Counter[tuple[GenerationMode, int]] = Counter()
SEED = secrets.randbits(32) if is_fuzzing() else 20_260_101
EXAMPLES = {GenerationMode.POSITIVE: 12, GenerationMode.NEGATIVE: 4}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@schemathesis.serializer("application/toml")
def toml(_: SerializationContext, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.serializer("application/x-protobuf")
def protobuf(_: SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


schema = schemathesis.openapi.from_dict(json.loads(json.dumps(Document().data)))


@pytest.fixture(scope="module")
def own(whole: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server of this file, with a database of its own and a key: a request that makes the first key of an open server
    would close it to the requests that follow, and to other files."""
    folder = tmp_path_factory.mktemp("generated")
    address = msgspec.structs.replace(whole.services.store.address, database="generated")
    migrate(address)
    with (
        running_api(folder, store=address) as api,
        running_mill(folder, address, api.hints),
        running_worker(folder, address, api.wake),
    ):
        _, secret = create_key(api.services.catalog, "default", ["read", "write", "admin"])
        api.services.keys.refresh()
        api.client.headers["X-API-Key"] = secret
        yield api


@pytest.fixture(scope="module")
def known(own: Api) -> Iterator[dict[str, Any]]:
    """What there is to ask for, by the name of the parameter that asks for it."""
    client = own.client
    receipt = client.post("/v1/feeds/dropzone", json=row(), headers=WAIT).json()["id"]
    client.put("/location", json=fix(), headers=WAIT)
    series = client.post("/v1/series", json=SERIES, headers=WAIT).json()["id"]
    for value in (b"{}", body(row(data=[1.0])), body(row(data=[2.0]))):  # a rejection, a change
        client.post("/v1/feeds/dropzone", content=value, headers=WAIT)
    replay = client.post("/v1/replays", json={"feed": "dropzone", "start": "2100-01-01T00:00:00Z"}, headers=WAIT)
    deletion = client.delete("/v1/feeds/dropzone/points?end=1900-01-01", headers=WAIT)
    load = client.post("/v1/series", json=LOAD, headers=WAIT).json()["id"]
    forecast = client.post("/v1/forecasts", json={"series": load, "horizon": 2}, headers=WAIT)
    yield {
        "feed": ["dropzone", "location", "signals"],
        "series": [series],
        "receipt": [receipt],
        "time": ["2026-01-01T00:00:00Z", "2019-05-01T10:00:00Z"],
        "version": ["1"],
        "rule": ["range"],
        "replay": [replay.json()["id"]],
        "forecast": [forecast.json()["id"]],
        "job": [replay.json()["id"]],
        "deletion_id": [deletion.json()["id"]],
        "start": ["2000-01-01", "2019-05-01T06:00:00-04:00"],
        "end": ["2030-01-01"],
        "stop": ["2030-01-01"],
        "since": ["2000-01-01"],
        "window": ["2019-05-01T10:00:00Z"],
        "every": ["1h", "1mo"],
        "tz": ["Europe/Zurich"],
        "agg": ["mean,max"],
        "q": ["0.5"],
        "measurement": ["energy"],
        "muid": ["m1"],
        "unit": ["s"],
    }


def settle(case: Case, known: dict[str, Any], turn: int) -> None:
    """Of three requests let two ask for what there is, so that answers of every kind come, not only refusals."""
    if "Prefer" in case.headers:
        case.headers["Prefer"] = "wait=0.01"
    if turn % 3 == 0:
        return
    if case.method != "DELETE":
        for name in case.path_parameters:
            case.path_parameters[name] = pick(known, name, turn) or case.path_parameters[name]
    for name in list(case.query):
        value = pick(known, name, turn)
        if value is not None:
            case.query[name] = value
        elif name not in TAKEN:
            del case.query[name]


def pick(known: dict[str, Any], name: str, turn: int) -> str | None:
    return known[name][turn % len(known[name])] if name in known else None


def wait_for_verifications(own: Api) -> None:
    deadline = time.monotonic() + 60
    while CatalogVerifications(own.services.catalog).under_way():
        assert time.monotonic() < deadline
        time.sleep(0.02)


OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (result.ok() for result in schema.get_all_operations())
    if not operation.path.endswith("/stream")  # has no end
}


@pytest.mark.hypothesis  # what `make fuzz` selects
@pytest.mark.parametrize("name", OPERATIONS)  # not by schemathesis: its tests share a name, and xdist runs one of them
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_answers_are_as_documented(name: str, mode: GenerationMode, own: Api, known: dict[str, Any]) -> None:
    turns = count()

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES[mode],
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[name].as_strategy(generation_mode=mode))
    def check_case(case: Case) -> None:
        if case.path == "/v1/verify":
            wait_for_verifications(own)  # that were asked for as jobs: a tenant has one at a time
        if mode is GenerationMode.POSITIVE:
            settle(case, known, next(turns))
        key = {"X-API-Key": own.client.headers["X-API-Key"]}
        answer = case.call_and_validate(base_url=own.url, headers=key, checks=CHECKS, timeout=20)
        SEEN[mode, answer.status_code // 100] += 1

    with suppress(Unsatisfiable):  # an operation to which nothing wrong can be sent
        check_case()


def test_answers_of_every_kind_came() -> None:
    assert SEEN[GenerationMode.POSITIVE, 2] > 150, SEEN
    assert SEEN[GenerationMode.POSITIVE, 4] > 50, SEEN
    assert SEEN[GenerationMode.NEGATIVE, 4] > 100, SEEN
