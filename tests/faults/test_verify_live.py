"""Beside a server that takes payloads all the while, verification finds nothing on a healthy log and store."""

from pathlib import Path

import pytest

from tests.mill.house import House
from tests.mill.test_verify_live import under_load
from tests.support.engine import running_engine
from tests.support.rounds import rounds
from tidemill.log.partitioned import PartitionedReader
from tidemill.mill.state import progress_of
from tidemill.mill.verify.verifier import Verifier, VerifyScope
from tidemill.model.offset import ONLY
from tidemill.store.client import Store
from tidemill.store.migrate import migrate


@pytest.mark.timeout(rounds(400, 7_200))
def test_whole_verifications_under_load_find_nothing(tmp_path: Path) -> None:
    with running_engine(tmp_path / "store", database="tidemill") as address:
        migrate(address)
        house = House(tmp_path, address, "default", partition=ONLY)
        verify_under_load(house)
        house.close()


def verify_under_load(house: House) -> None:
    verifier = Verifier(
        Store(house.store.address),
        house.book,
        lambda: PartitionedReader([house.open_reader()]),
        lambda: progress_of([house.state]),
        catalog=house.catalog,
        live=True,
        clock=house.clock,
    )
    with under_load(house, 1 / 400):  # faster, and every verification would take longer than the one before
        for _ in range(rounds(4, 200)):
            report = verifier.verify(VerifyScope(tenant=house.tenant))
            assert report.counts == {}, report.findings[:5]
