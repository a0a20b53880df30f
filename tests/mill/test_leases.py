"""One of several processes owns a lease: over the embedded catalog, with a clock that the test moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.mill.leases import Lease


class Hands:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteCatalog]:
    catalog = SqliteCatalog(tmp_path_factory.mktemp("leases") / Path("catalog.sqlite"))
    yield catalog
    catalog.close()


def pair(catalog: SqliteCatalog) -> tuple[Hands, Lease, Lease]:
    for entry in catalog.list("own/"):
        catalog.delete(entry.key)
    clock = Hands()
    first, second = (Lease(catalog, "own/0", name, length_s=3, clock=clock) for name in ("a", "b"))
    return clock, first, second


def test_an_owner_that_does_not_renew_stops_before_another_takes_over(catalog: SqliteCatalog) -> None:
    clock, first, second = pair(catalog)
    assert first.step() and not second.step()
    clock.now = 2.6
    assert not first.valid and not second.step()
    clock.now = 3.0
    assert second.step()
    assert second.epoch == first.epoch + 1
    assert not first.step() and not first.valid


def test_a_lease_that_is_given_up_is_taken_at_once(catalog: SqliteCatalog) -> None:
    _, first, second = pair(catalog)
    assert first.step()
    first.release()
    assert not first.valid and second.step()


@settings(max_examples=60, deadline=None)
@given(moves=st.lists(st.tuples(st.sampled_from("abr"), st.floats(0, 2)), max_size=25))
def test_never_do_two_own_it_and_no_epoch_has_two_owners(
    catalog: SqliteCatalog, moves: list[tuple[str, float]]
) -> None:
    clock, first, second = pair(catalog)
    owners: dict[int, Lease] = {}
    for who, pause in moves:
        if who == "r":
            first.release()
        else:
            (first if who == "a" else second).step()
        assert not (first.valid and second.valid)
        for lease in (first, second):
            if lease.valid:
                assert owners.setdefault(lease.epoch, lease) is lease
        clock.now += pause
