"""Payload bytes that a disk has changed are never answered as the payload: they come from the other copy, or a problem
names where the damage is. The API puts an entry of the log right from the store's copy by itself."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.samples import problem
from tests.support.api import Api, running_api, running_mill
from tests.support.engine import Engine
from tidemill.api.mending import mend_entries
from tidemill.log.limits import LogLimits
from tidemill.store.client import Store
from tidemill.store.migrate import migrate
from tidemill.store.queries import query

SENT = b'{"time_stamp": "2026-01-01T00:00:00Z", "data": [1, 2.5, 3]}' + b" " * 5_000  # too long to be mended by trying
WAIT = {"Prefer": "wait=30"}
DEADLINE_S = 60
OTHER_BODY = query(
    "other_body",
    "INSERT INTO payloads SELECT * REPLACE (concat('other', body) AS body, version + 1 AS version)"
    " FROM payloads FINAL WHERE receipt = {receipt:String}",
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    running = Engine(tmp_path / "store", database="tidemill").start()
    migrate(running.address)
    yield running
    running.stop()


def sent(api: Api, body: bytes = SENT) -> str:
    answer = api.client.post("/v1/feeds/dropzone", content=body, headers=WAIT)
    assert answer.json()["state"] == "applied", answer.text
    return str(answer.json()["id"])


def garble(folder: Path) -> None:
    """Change the bytes of every entry of the log, as a disk does: under the engine's hands."""
    with sqlite3.connect(folder / "log" / "log.sqlite", timeout=30) as connection:
        connection.execute("UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), '2.5', '9.9') AS BLOB)")
    connection.close()


def soon(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def test_damaged_entries_are_served_from_the_store_and_mended_from_it(engine: Engine, tmp_path: Path) -> None:
    with running_api(tmp_path, store=engine.address) as api, running_mill(tmp_path, engine.address, api.hints):
        bodies = [SENT, SENT.replace(b"00Z", b"01Z")]
        receipts = [sent(api, body) for body in bodies]
        garble(tmp_path)
        answers = [api.client.get(f"/v1/receipts/{receipt}/payload") for receipt in receipts]
        assert [(answer.status_code, answer.content) for answer in answers] == [(200, body) for body in bodies]
        named = api.client.get("/readyz").json()["log"]["degraded"]
        assert receipts[0] in named and "verify --repair" in named
        soon(lambda: not api.client.get("/readyz").json()["log"]["degraded"])
        api.services.log.read(0, 10, 1 << 20)
        assert api.services.log.known_damages() == []


def test_what_is_damaged_in_log_and_store_is_a_problem_that_names_both(engine: Engine, tmp_path: Path) -> None:
    with running_api(tmp_path, store=engine.address) as api, running_mill(tmp_path, engine.address, api.hints):
        receipt = sent(api)
        tag = api.client.get(f"/v1/receipts/{receipt}/payload").headers["etag"]
        Store(engine.address, queries={"other_body": OTHER_BODY}).command("other_body", receipt=receipt)
        garble(tmp_path)
        for headers in ({}, {"If-None-Match": tag}):
            document = problem(api.client.get(f"/v1/receipts/{receipt}/payload", headers=headers), 500, "damaged")
            assert receipt in document["detail"] and "sha256" in document["detail"], document
        tried: set[int] = set()
        mend_entries(api.services.store, api.services.log, tried)
        assert tried == {1}, "it is tried once"
        assert [damage.receipt for damage in api.services.log.known_damages()] == [receipt]
        assert receipt in api.client.get("/readyz").json()["log"]["degraded"]


def test_a_flipped_bit_in_a_part_of_the_store_is_a_problem_that_names_the_part(engine: Engine, tmp_path: Path) -> None:
    forgets = LogLimits(keep_applied_s=0, min_free_bytes=0, min_free_ratio=0)
    body = json.dumps({"time_stamp": "2026-01-01T00:00:00Z", "data": list(range(3000))}).encode()
    with running_api(tmp_path, store=engine.address, limits=forgets) as api:
        with running_mill(tmp_path, engine.address, api.hints):
            receipt = sent(api, body)
        engine.stop()
        for part in (tmp_path / "store" / "chdb" / "data" / "tidemill" / "payloads").glob("all_*"):
            content = bytearray((part / "data.bin").read_bytes())
            content[len(content) // 2] ^= 1
            (part / "data.bin").write_bytes(content)
        engine.start()
        assert api.client.get(f"/v1/receipts/{receipt}/payload").content == body, "the log has it still"
        assert api.services.log.partitions[0].trim(api.services.applied.refresh().partitions[0].checkpoint) == 1
        document = problem(api.client.get(f"/v1/receipts/{receipt}/payload"), 500, "damaged")
        assert re.search(r"part all_\d+_\d+_\d+ of table payloads is damaged", document["detail"]), document


def test_a_receipt_whose_row_is_damaged_is_a_problem_and_not_the_state_of_the_log(
    engine: Engine, tmp_path: Path
) -> None:
    with running_api(tmp_path, store=engine.address) as api, running_mill(tmp_path, engine.address, api.hints):
        receipt = sent(api)
        engine.stop()
        for part in (tmp_path / "store" / "chdb" / "data" / "tidemill" / "payloads").glob("all_*"):
            (part / "checksums.txt").write_bytes(b"none")  # the engine sets such a part aside when it starts
        engine.start()
        for path in (f"/v1/receipts/{receipt}", "/v1/receipts/another"):
            assert "of table payloads is damaged" in problem(api.client.get(path), 500, "damaged")["detail"]
        assert api.client.get(f"/v1/receipts/{receipt}/payload").content == SENT
