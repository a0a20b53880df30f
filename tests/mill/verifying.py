"""Verifies what a house holds, for tests that end with the proof."""

from tests.mill.house import House
from tidemill.log.partitioned import PartitionedReader
from tidemill.mill.state import progress_of
from tidemill.mill.verify.verifier import Verifier, VerifyScope
from tidemill.model.verification import VerifyReport


def verify(house: House, **scope: object) -> VerifyReport:
    """The report of the house's own tenant."""
    verifier = Verifier(
        house.store,
        house.book,
        lambda: PartitionedReader([house.open_reader()]),
        lambda: progress_of([house.state]),
        catalog=house.catalog,
        clock=house.clock,
    )
    return verifier.verify(VerifyScope(tenant=house.tenant, **scope))  # type: ignore[arg-type]


def prove(house: House) -> VerifyReport:
    """The same, and everything must add up."""
    report = verify(house)
    assert report.counts == {}, report.findings[:10]
    return report
