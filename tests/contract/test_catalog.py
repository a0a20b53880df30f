"""What every `Catalog` promises, run over every implementation. A new one adds its name and opener to OPENERS."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.nats import needs_nats, shared_nats
from tidemill.catalog.contract import Catalog
from tidemill.catalog.opening import open_cluster_catalog
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.errors import ConflictError
from tidemill.log.jetstream.names import parse_log_address


def jetstream_catalog(folder: Path) -> Catalog:
    """A catalog of its own for each folder, on the three nodes that the tests of this process share."""
    name = f"c{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    return open_cluster_catalog(parse_log_address(shared_nats().url(name)))


OPENERS: dict[str, Callable[[Path], Catalog]] = {
    "sqlite": lambda folder: SqliteCatalog(folder / "catalog.sqlite"),
    "jetstream": jetstream_catalog,
}
SLOW = {"jetstream": (pytest.mark.slow, needs_nats)}
Open = Callable[[], Catalog]


@pytest.fixture(params=[pytest.param(name, marks=SLOW.get(name, ())) for name in OPENERS])
def open_catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[Catalog] = []

    def open_one() -> Catalog:
        opened.append(OPENERS[request.param](tmp_path))
        return opened[-1]

    yield open_one
    for catalog in opened:
        catalog.close()


@pytest.fixture
def catalog(open_catalog: Open) -> Catalog:
    return open_catalog()


def test_value_comes_back_with_its_revision(catalog: Catalog) -> None:
    assert catalog.get("a/b") is None
    revision = catalog.put("a/b", b"\x00\xff")
    entry = catalog.get("a/b")
    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == ("a/b", b"\x00\xff", revision)


def test_revisions_rise_and_are_not_reused_after_a_delete(open_catalog: Open) -> None:
    catalog = open_catalog()
    revisions = [catalog.put("k", b"1"), catalog.put("k", b"2")]
    assert catalog.delete("k")
    catalog.close()
    catalog = open_catalog()
    revisions.append(catalog.put("k", b"3"))
    assert revisions == sorted(set(revisions))


def test_put_expecting_a_revision_loses_when_another_wrote(catalog: Catalog) -> None:
    seen = catalog.put("k", b"1", expect=0)
    catalog.put("k", b"2", expect=seen)
    for expect in (seen, 0, 10**6):
        with pytest.raises(ConflictError):
            catalog.put("k", b"3", expect=expect)
    entry = catalog.get("k")
    assert entry is not None and entry.value == b"2"


def test_delete_says_whether_it_removed_and_compares_like_put(catalog: Catalog) -> None:
    assert not catalog.delete("k")
    assert not catalog.delete("k", expect=0)
    revision = catalog.put("k", b"1")
    with pytest.raises(ConflictError):
        catalog.delete("k", expect=revision + 1)
    assert catalog.delete("k", expect=revision)
    assert catalog.get("k") is None
    assert catalog.put("k", b"2", expect=0) > revision


def test_one_of_many_who_create_a_key_at_once_wins(open_catalog: Open) -> None:
    catalogs = [open_catalog() for _ in range(4)]
    start = threading.Barrier(4)

    def create(catalog: Catalog) -> bool:
        start.wait()
        try:
            catalog.put("k", b"mine", expect=0)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, catalogs)) == [False, False, False, True]


def test_counter_kept_by_compare_and_set_loses_no_increment(open_catalog: Open) -> None:
    open_catalog().put("n", b"0")

    def add(catalog: Catalog) -> None:
        for _ in range(25):
            while True:
                entry = catalog.get("n")
                assert entry is not None
                try:
                    catalog.put("n", b"%d" % (int(entry.value) + 1), expect=entry.revision)
                except ConflictError:
                    continue
                break

    catalogs = [open_catalog() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, catalogs))
    entry = catalogs[0].get("n")
    assert entry is not None and entry.value == b"75"


keys = st.text(st.sampled_from("ab/é\ud7ff\ue000\U0010ffff"), max_size=5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(there=st.dictionaries(keys, st.binary(max_size=3), max_size=8), gone=st.sets(keys, max_size=3), prefix=keys)
def test_list_is_what_starts_with_the_prefix_in_order(
    catalog: Catalog, there: dict[str, bytes], gone: set[str], prefix: str
) -> None:
    for entry in catalog.list(""):
        catalog.delete(entry.key)
    for key, value in there.items():
        catalog.put(key, value)
    for key in gone:
        catalog.delete(key)
    expected = [(key, there[key]) for key in sorted(there.keys() - gone) if key.startswith(prefix)]
    assert [(entry.key, entry.value) for entry in catalog.list(prefix)] == expected


def test_watch_tells_of_writes_and_deletes_of_any_catalog_under_its_prefix_only(open_catalog: Open) -> None:
    watcher, writer = open_catalog(), open_catalog()
    ours, theirs = threading.Event(), threading.Event()
    watcher.watch("ours/", ours.set)
    end = watcher.watch("theirs/", theirs.set)
    changes: tuple[Callable[[], object], ...] = (
        lambda: writer.put("ours/a", b"1"),
        lambda: writer.delete("ours/a"),
        lambda: watcher.put("ours/b", b""),
    )
    for change in changes:
        change()
        assert ours.wait(1.0)
        ours.clear()
    assert not theirs.is_set()
    end()
    writer.put("theirs/a", b"1")
    writer.put("ours/a", b"2")
    assert ours.wait(1.0)
    assert not theirs.is_set()


def test_watcher_that_fails_is_told_again(catalog: Catalog) -> None:
    calls: list[float] = []

    def fail_once() -> None:
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise RuntimeError("not now")

    catalog.watch("", fail_once)
    catalog.put("k", b"")
    deadline = time.monotonic() + 60
    while len(calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(calls) == 2
