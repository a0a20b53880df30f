"""A log over plain files, which the product knows nothing of, carries a payload from intake to the proof: by its
contract alone, in one partition and in four."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.samples import fix, problem, row
from tests.support.api import Api, mill_states, running_api, running_mill
from tests.support.file_log import ENTRIES, FileLog, FileLogReader
from tidemill.catalog.keys import create_key
from tidemill.feeds.recipes import RECIPES
from tidemill.log.partitioned import PartitionedLog, PartitionedReader
from tidemill.log.partitions import log_folder
from tidemill.mill.state import progress_of
from tidemill.mill.verify.verifier import Verifier, VerifyScope
from tidemill.model.verification import VerifyReport
from tidemill.store.client import Store, StoreAddress

_numbers = itertools.count(1)
_bases = itertools.count(1 << 12)  # partitions apart from those of houses and yards, in sixteens


class Round:
    """A tenant's intake, mill and verification over a log of files with `count` partitions."""

    def __init__(self, folder: Path, engine: StoreAddress, count: int, *, index: bool = True) -> None:
        self.folder, self.engine, self.tenant = folder, engine, f"round-{next(_numbers)}"
        base, self.index = next(_bases) * 16, index
        self.places = [(log_folder(folder, number), base + number) for number in range(count)]
        self.log = PartitionedLog([FileLog(*place, index=index) for place in self.places])

    def readers(self) -> PartitionedReader[FileLogReader]:
        return PartitionedReader([FileLogReader(*place, index=self.index) for place in self.places])

    def verify(self, api: Api) -> VerifyReport:
        progress = progress_of(mill_states(self.folder, self.log))
        book, catalog = api.services.book, api.services.catalog
        verifier = Verifier(Store(self.engine), book, self.readers, lambda: progress, catalog=catalog)
        return verifier.verify(VerifyScope(tenant=self.tenant))


class Sender:
    """Sends with the key of a round's tenant."""

    def __init__(self, api: Api, tenant: str) -> None:
        api.services.texts.install(tenant, RECIPES)  # type: ignore[attr-defined]
        _, self._key = create_key(api.services.catalog, tenant, ["read", "write", "admin"])
        self._client = api.client

    def __call__(self, method: str, path: str, status: int = 200, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._key}"} | options.pop("headers", {})
        deadline = time.monotonic() + 60
        while (answer := self._client.request(method, path, headers=headers, **options)).status_code == 401:
            assert time.monotonic() < deadline, "the key is not known"
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture(params=[1, 4])
def rig(request: pytest.FixtureRequest, tmp_path: Path, engine: StoreAddress) -> Iterator[Round]:
    yield Round(tmp_path, engine, request.param)


def applied(send: Sender, receipt: str) -> dict[str, Any]:
    """The receipt, once its payload is applied."""
    deadline = time.monotonic() + 60
    while (found := send("GET", f"/v1/receipts/{receipt}").json())["state"] == "stored":
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return dict(found)


def test_intake_mill_and_verification_work_over_a_log_of_files(rig: Round) -> None:
    folder, engine = rig.folder, rig.engine
    with running_api(folder, store=engine, log=rig.log) as api:
        send = Sender(api, rig.tenant)
        early = [send("PUT", "/location", json=fix(user_id=f"u{n}")).json()["id"] for n in range(3)]
        early += [send("POST", "/v1/feeds/dropzone", 202, json=row()).json()["id"] for _ in range(3)]
        assert {send("GET", f"/v1/receipts/{id}").json()["state"] for id in early} == {"stored"}
        with running_mill(folder, engine, api.hints, rig.readers().partitions):
            late = send("PUT", "/location", json=fix(), headers={"Prefer": "wait=30"}).json()["id"]
            assert {applied(send, id)["state"] for id in (*early, late)} == {"applied"}
        report = rig.verify(api)
        assert (report.counts, report.complete, report.notes) == ({}, True, [])
        assert (report.totals.payloads, report.totals.log_entries, report.totals.waiting) == (7, 7, 0)
        send("PUT", "/location", json=fix())
        assert rig.verify(api).totals.waiting == 1
        damage_a_body(rig)
        findings = rig.verify(api).findings
        assert [(one.code, one.receipt) for one in findings] == [("log_damaged", early[0])]


def damage_a_body(rig: Round) -> None:
    """Flip a bit of the first body in the partition of the locations."""
    log = next(one for one in rig.log.partitions if one.headers(0, 1) and one.headers(0, 1)[0].feed == "location")
    slot = log._slots[0]
    with (log.folder / ENTRIES).open("r+b") as file:
        file.seek(slot.at)
        byte = file.read(1)[0]
        file.seek(slot.at)
        file.write(bytes([byte ^ 1]))


def test_what_needs_a_capability_that_the_log_lacks_is_answered_clearly(tmp_path: Path, engine: StoreAddress) -> None:
    one = Round(tmp_path, engine, 1, index=False)
    with running_api(tmp_path, store=engine, log=one.log) as api:
        send = Sender(api, one.tenant)
        refused = send("POST", "/v1/feeds/dropzone", 501, json=row(), headers={"Idempotency-Key": "k"})
        assert "send the payload without one" in problem(refused, 501, "log_lacks")["detail"]
        assert one.log.health().last_seq == 0, "nothing was stored"
        receipt = send("POST", "/v1/feeds/dropzone", 202, json=row()).json()["id"]
        for path in (f"/v1/receipts/{receipt}", f"/v1/receipts/{receipt}/payload"):
            assert "known once it is applied" in problem(send("GET", path, 501), 501, "log_lacks")["detail"]
        with running_mill(tmp_path, engine, api.hints, one.readers().partitions):
            send("POST", "/v1/feeds/dropzone", 200, json=row(), headers={"Prefer": "wait=30"})
        assert send("GET", f"/v1/receipts/{receipt}").json()["state"] == "applied"
        assert send("GET", f"/v1/receipts/{receipt}/payload").status_code == 200
        [degraded] = [text for text in send("GET", "/readyz").json()["degraded"] if "files" in text]
        assert "neither trimmed nor do deleted bytes leave it" in degraded
