"""A deletion that breaks off at any of its writes and is applied again ends as one that was never interrupted."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.mill.breaking import BreakingEverywhere
from tests.mill.house import House
from tests.mill.test_replay import feed, record
from tests.mill.verifying import prove
from tidemill.errors import ConflictError, UnavailableError
from tidemill.model.deletion import Deletion
from tidemill.model.ids import format_series
from tidemill.model.offset import seq_of
from tidemill.store.client import Store
from tidemill.store.queries import query

Build = Callable[..., House]
START_NS = 1_700_000_000 * 10**9
QUESTIONS = {
    "deletions": "SELECT seq, kind, points, records, payloads, payloads_kept, applied_at >= requested_at AS applied"
    " FROM deletions FINAL WHERE tenant = {tenant:String}",
    "changes": "SELECT seq, idx, series, every_s, time, old, new, old_count, new_count, why FROM changes FINAL"
    " WHERE tenant = {tenant:String}",
    "deleted_records": "SELECT seq, idx, series, reasons FROM deleted_records FINAL WHERE tenant = {tenant:String}",
}
QUERIES = {name: query(name, sql) for name, sql in QUESTIONS.items()}
PAYLOADS = [
    [record(0, 5), record(1, 50), record(1, 5000)],  # one is out of range
    [record(1, 60), record(61, 80)],  # replaces one value
    [record(61, 9), record(0, 10, "b")],  # replaces one, and has one of somebody else
    [record(62, 8)],
]


def prepared(build: Build, kind: str) -> House:
    house = build()
    house.texts.apply(house.tenant, "location", feed("last", 1000))
    for body in PAYLOADS:
        house.send("location", body, feed_version=2)
        house.work()
    house.ask(deletion(house, kind))
    return house


def deletion(house: House, kind: Any) -> Deletion:
    series = format_series(next(row["series"] for row in house.all("series") if row["tags"] == {"user_id": "a"}))
    chosen: dict[str, Any] = {
        "payload": {"receipt": house.entries()[1].payload.receipt},
        "range": {"start_ns": START_NS + 10**9, "end_ns": START_NS + 62 * 10**9},
        "series": {"series": series},
        "feed": {},
    }[kind]
    return Deletion(kind=kind, feed="location", **chosen)


def outcome(house: House) -> dict[str, list[str]]:
    """Everything that the store holds, without what differs from house to house."""
    names = {row["series"]: f"{row['field']} {row['tags']}" for row in house.all("series")}
    store = Store(house.store.address, queries=QUERIES)
    tables = house.everything() | {name: store.rows(name, tenant=house.tenant) for name in QUERIES}
    store.close()
    return {table: sorted(str(_named(row, names)) for row in rows) for table, rows in tables.items()}


def _named(row: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    """A row with names for the ids of series; of payloads only whether there are bytes (a deletion's name series)."""
    plain = {key: value for key, value in row.items() if key not in ("tenant", "receipt", "sha256")}
    plain |= {key: seq_of(plain[key]) for key in ("seq", "deletion", "cause_seq") if key in plain}
    if "series" in row:
        plain["series"] = names.get(row["series"], row["series"])
    if "body" in row:
        plain["body"] = bool(row["body"])
    return plain


@pytest.mark.parametrize("kind", ["payload", "range", "series", "feed"])
def test_a_deletion_that_breaks_off_at_every_write_ends_as_one_that_never_did(build: Build, kind: str) -> None:
    """Before each write, in the same mill; after each, in one that starts anew."""
    calm = prepared(build, kind)
    calm.work()
    wanted = outcome(calm)
    for after in (False, True):
        house = prepared(build, kind)
        breaking = BreakingEverywhere(house, after=after)
        attempts = 0
        while house.applied < len(PAYLOADS) + 1:
            attempts += 1
            assert attempts < 100
            with breaking:
                house.work()
                break
            house.mill._guard.forgive()  # as its loop does
            if after:
                house.new_mill()
        assert attempts == len(breaking.broken) + 1 > 5
        assert outcome(house) == wanted, f"broken off {'after' if after else 'before'} every write"
        prove(house)


def test_a_deletion_waits_for_the_catalog_and_is_not_set_aside(build: Build) -> None:
    house = prepared(build, "feed")

    def refuse(tenant: str, feed: str) -> None:
        raise ConflictError(f"{feed} of {tenant} is being changed")

    deleter = house.mill._applier._deleter
    kept, deleter._before = deleter._before, refuse
    with pytest.raises(UnavailableError, match="is being changed"):
        house.work()
    assert house.mill.status.poisoned == 0
    deleter._before = kept
    house.work()
    assert {row["state"] for row in house.all("payloads") if row["seq"] <= len(PAYLOADS)} == {"deleted"}
