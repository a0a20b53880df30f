"""Intake, mill and verification work over a log on JetStream, as over any log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.samples import fix, row
from tests.mill.test_any_log import Sender, applied
from tests.support.api import mill_states, running_api, running_mill
from tests.support.engine import running_engine
from tests.support.nats import needs_nats, shared_nats
from tidemill.log.jetstream import JetStreamLogReader, parse_log_address
from tidemill.log.jetstream.names import StreamNames
from tidemill.log.limits import LogLimits
from tidemill.log.opening import link_to, open_cluster_log, open_cluster_reader
from tidemill.mill.state import progress_of
from tidemill.mill.verify.verifier import Verifier, VerifyScope
from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate

pytestmark = [pytest.mark.slow, needs_nats]
COUNT = 2


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[StoreAddress]:
    with running_engine(tmp_path / "engine", database="tidemill") as address:
        migrate(address)
        yield address


def test_intake_mill_and_verification_work_over_jetstream(tmp_path: Path, engine: StoreAddress) -> None:
    address = parse_log_address(shared_nats().url("whole"))
    log = open_cluster_log(address, [0] * COUNT, limits=LogLimits(min_free_bytes=0, min_free_ratio=0))
    readers = [JetStreamLogReader(link_to(address.servers), StreamNames("whole", number)) for number in range(COUNT)]
    with running_api(tmp_path, store=engine, log=log) as api:
        send = Sender(api, "whole")
        keyed, sent = {"Idempotency-Key": "k"}, row()
        early = [send("PUT", "/location", json=fix(user_id=f"u{n}")).json()["id"] for n in range(3)]
        early += [send("POST", "/v1/feeds/dropzone", 202, json=sent, headers=keyed).json()["id"] for _ in range(3)]
        assert len(set(early)) == 4, "a key was taken once"
        assert {send("GET", f"/v1/receipts/{id}").json()["state"] for id in early} == {"stored"}
        with running_mill(tmp_path, engine, api.hints, readers):
            late = send("PUT", "/location", json=fix(), headers={"Prefer": "wait=30"}).json()["id"]
            assert {applied(send, id)["state"] for id in (*early, late)} == {"applied"}
        progress = progress_of(mill_states(tmp_path, log))
        verifier = Verifier(
            Store(engine),
            api.services.book,
            lambda: open_cluster_reader(address, COUNT),
            lambda: progress,
            catalog=api.services.catalog,
        )
        report = verifier.verify(VerifyScope(tenant="whole"))
        assert (report.counts, report.complete, report.notes) == ({}, True, [])
        assert (report.totals.payloads, report.totals.log_entries, report.totals.waiting) == (5, 5, 0)
        assert send("GET", f"/v1/receipts/{late}/payload").status_code == 200
    for reader in readers:
        reader.close()
