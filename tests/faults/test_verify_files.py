"""Verification reads the files: parts of tables, the catalog, the log; repair puts back what it can."""

import re
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import apsw
import msgspec
import pytest

from tests.mill.house import House, questions
from tests.mill.test_damaged import garble, heap
from tests.mill.verifying import prove, verify
from tests.query.support import asked
from tests.support.engine import Engine
from tidemill.errors import StoreDamagedError, StoreQueryError
from tidemill.log.opening import log_files, open_log_reader
from tidemill.mill.retries import TRIES_ALONE
from tidemill.mill.verify.repair import repair_store, stored_body
from tidemill.mill.verify.repair_parts import repair_parts
from tidemill.model.offset import ONLY
from tidemill.query.rejection_parameters import RejectionsQuery
from tidemill.query.rejections import RejectionQueries
from tidemill.store.client import Store
from tidemill.store.migrate import migrate
from tidemill.store.queries import query


class Place:
    """A house on an engine of its own, whose files can be damaged while it is down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine(folder / "store", database="tidemill").start()
        migrate(self.engine.address)
        self.house = House(folder, self.engine.address, "default", partition=ONLY)

    def restart(self) -> None:
        self.engine.start()
        self.house.store = Store(self.engine.address)
        self.house.new_mill()

    def parts(self, table: str) -> list[Path]:
        [metadata] = (self.folder / "store" / "chdb" / "data" / "tidemill").glob(table)
        return sorted(part for part in metadata.iterdir() if re.fullmatch(r"all_\d+_\d+_\d+", part.name))

    def spoil(self, table: str, file: str) -> None:
        """Change bytes in the middle of this file of every part of a table."""
        self.engine.stop()
        for part in self.parts(table):
            content = bytearray((part / file).read_bytes())
            content[len(content) // 2] ^= 0xFF
            (part / file).write_bytes(content)
        self.restart()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    for number in range(3):
        made.house.send("dropzone", heap(number, 1.0, 2.0 + number))
    made.house.send("telemetry", b'[{"time": 1, "value": 1.0, "tags": []}]')
    made.house.work()
    prove(made.house)
    yield made
    made.house.close()
    made.engine.stop()


def test_a_part_that_cannot_be_read_is_named(place: Place) -> None:
    rejections = RejectionQueries(place.house.store)
    assert rejections.list_rejections("default", asked(RejectionsQuery)).items
    place.spoil("rejections", "data.bin")
    with pytest.raises(StoreDamagedError, match=r"part all_\d+_\d+_\d+ of table rejections is damaged"):
        RejectionQueries(place.house.store).list_rejections("default", asked(RejectionsQuery))
    report = verify(place.house)
    assert "table_damaged" in report.counts and not report.adds_up
    assert any("of table rejections" in one.what for one in report.findings)


def test_a_part_that_was_set_aside_is_named_refused_and_applied_again(place: Place) -> None:
    before = place.house.everything("payloads")
    place.spoil("points", "checksums.txt")
    with pytest.raises(
        StoreDamagedError, match=r"part broken-on-start_all_\d+_\d+_\d+\w* of table points .*verify --repair"
    ):
        Store(place.engine.address).rows("verify_point_counts", tenant="default", after=0, upto=9, feed="")
    report = verify(place.house)
    assert report.counts["part_detached"] > 0 and not report.complete
    place.engine.stop()
    for part in (place.folder / "store" / "chdb" / "store").glob("*/*/detached/broken*"):
        shutil.move(part, place.folder / part.name)
    place.restart()
    assert repair_store(
        place.folder, open_log_reader(place.folder), place.house.store, verify(place.house), again=True
    ).done
    place.house.new_mill()
    place.house.work()
    prove(place.house)
    place.house.store = Store(place.engine.address, queries=questions())
    assert place.house.everything("payloads") == before


@pytest.mark.parametrize("table", ["points", "submissions"])
def test_a_part_that_cannot_be_read_is_set_aside_and_its_rows_are_made_again(place: Place, table: str) -> None:
    if table == "submissions":
        fix = {"timestamp": "2017-01-01 13:05:12", "lat": 40.7, "long": -73.9, "user_id": "a"}
        place.house.send("location", fix | {"accuracy": 5, "speed": 1.5})
        place.house.work()
        prove(place.house)
    before = place.house.everything("payloads")
    place.spoil(table, "data.bin")
    noted: list[int] = []
    store = Store(place.engine.address)
    repaired = repair_parts(open_log_reader(place.folder), store, lambda: noted.append(len(place.parts(table))))
    assert (len(repaired.done), repaired.lost, noted) == (1, [], [1])
    assert f"of table {table} is damaged, and set aside" in repaired.done[0]
    assert repair_store(place.folder, open_log_reader(place.folder), store, verify(place.house), again=True).done
    place.house.new_mill()
    place.house.work()
    prove(place.house)
    assert place.parts(table)
    place.house.store = Store(place.engine.address, queries=questions())
    assert place.house.everything("payloads") == before


@pytest.mark.parametrize("table", ["points", "series"])
def test_a_part_of_which_the_log_lacks_something_stays_and_is_said(place: Place, table: str) -> None:
    with apsw.Connection(str(place.folder / "log" / "log.sqlite")) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 1")
    connection.close()
    place.spoil(table, "data.bin")
    repaired = repair_parts(open_log_reader(place.folder), Store(place.engine.address), pytest.fail)
    assert repaired.done == [] and f"of table {table}" in repaired.lost[0] and "backup" in repaired.lost[0]
    assert place.parts(table)


def test_damage_to_who_owns_a_partition_is_waited_for_and_set_aside_whatever_the_log_has(place: Place) -> None:
    place.spoil("owners", "data.bin")
    place.house.send("dropzone", heap(9, 1.0, 2.0))
    with pytest.raises(StoreQueryError):
        place.house.mill.apply_batch()
    repaired = repair_parts(open_log_reader(place.folder), Store(place.engine.address), pytest.fail)
    assert (len(repaired.done), repaired.lost) == (1, [])
    assert "of table owners is damaged, and set aside" in repaired.done[0]
    assert place.house.work() == 1
    prove(place.house)


def test_a_payload_that_meets_a_damaged_part_waits_for_the_repair_and_is_not_set_aside(place: Place) -> None:
    """However often it is tried: the store is at fault, not the payload."""
    [part] = place.parts("points")
    whole = (part / "data.bin").read_bytes()
    place.spoil("points", "data.bin")
    place.house.send("dropzone", heap(1, 1.0, 9.0))  # a duplicate, so that what stands is read
    deadline = time.monotonic() + 60
    lanes = place.house.mill._lanes
    while (hold := lanes.held("default")) is None or hold.tries <= TRIES_ALONE:
        place.house.mill.apply_batch()
        assert time.monotonic() < deadline, place.house.mill.status.last_error
        time.sleep(0.01)
    assert "damaged" in place.house.mill.status.last_error
    place.engine.stop()
    (part / "data.bin").write_bytes(whole)
    place.restart()
    place.house.work()
    place.house.store = Store(place.engine.address, queries=questions())
    assert {row["state"] for row in place.house.all("payloads")} == {"applied"}
    prove(place.house)


def test_a_damaged_text_of_a_feed_is_named(place: Place) -> None:
    catalog = place.house.catalog
    [entry] = catalog.list("feeds/default/dropzone/")
    told = msgspec.json.decode(entry.value)
    catalog.put(entry.key, msgspec.json.encode(told | {"text": told["text"] + "# more"}))
    assert verify(place.house).counts == {"catalog_damaged": 1}


def test_damaged_structure_of_the_log_is_named(place: Place) -> None:
    connection = apsw.Connection(str(place.folder / "log" / "log.sqlite"))
    connection.execute("PRAGMA writable_schema = 1; DELETE FROM sqlite_schema WHERE name = 'entries_by_receipt'")
    connection.close()
    assert verify(place.house).counts["log_damaged"] > 0


def test_log_and_store_give_each_other_back_what_one_has_damaged(place: Place) -> None:
    house = place.house
    garble(house, 2, "3.0", "9.0")
    broken = "INSERT INTO payloads SELECT * REPLACE ('x' AS body, version + 1 AS version) FROM payloads WHERE seq = 3"
    Store(place.engine.address, queries={"broken": query("broken", broken)}).command("broken")
    house.log.close()
    repaired = log_files(place.folder).repair_entries(partial(stored_body, house.store))
    assert (len(repaired.done), repaired.lost) == (1, [])
    report = verify(house)
    assert set(report.counts) >= {"payload_bytes"} and {one.seq for one in report.findings} == {3}
    repaired = repair_store(place.folder, open_log_reader(place.folder), house.store, report, again=False)
    assert (len(repaired.done), repaired.lost) == (1, [])
    prove(house)


def test_what_is_gone_from_both_is_said(place: Place) -> None:
    house = place.house
    garble(house, 2, "3.0", "9.0")
    Store(place.engine.address, queries={"gone": query("gone", "DELETE FROM payloads WHERE seq = 2")}).command("gone")
    house.log.close()
    repaired = log_files(place.folder).repair_entries(partial(stored_body, house.store))
    assert repaired.done == [] and "entry 2" in repaired.lost[0]
