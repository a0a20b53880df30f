"""One moment of catalog and log, while both are written: each refers only to what is there in the other."""

import json
import threading
from pathlib import Path

import apsw
import msgspec

from tests.log.payloads import payload
from tests.support.rounds import rounds
from tidemill.backup.files import no_progress
from tidemill.backup.snapshot import Snapshot
from tidemill.catalog.opening import CATALOG_FILE
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.log.sqlite import SqliteLog


def write(folder: Path, began: threading.Event, stop: threading.Event) -> None:
    """A new version of a feed, a payload under it, then a cursor that says that the payload is durable; and again."""
    catalog, log = SqliteCatalog(folder / CATALOG_FILE), SqliteLog(folder / "log")
    number = 0
    while not stop.is_set():
        number += 1
        catalog.put(f"feeds/default/f/{number:08d}", b"text")
        body = msgspec.structs.replace(payload(b"%d" % number), feed_version=number)
        seq = log.append(body).result(10).seq
        catalog.put("sources/cursor", json.dumps(seq).encode())
        began.set()
    log.close()
    catalog.close()


def test_cursors_and_feeds_of_a_moment_agree_with_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    began, stop = threading.Event(), threading.Event()
    writer = threading.Thread(target=write, args=(folder, began, stop))
    writer.start()
    try:
        assert began.wait(60)
        newest = 0
        for number in range(rounds(40, 400)):
            copies = tmp_path / str(number)
            copies.mkdir()
            with Snapshot(folder) as snapshot:
                sizes = snapshot.sizes
                for name in snapshot.sizes:
                    snapshot.copy(name, copies / Path(name).name, no_progress)
                last_seq = snapshot.last_seqs[0]
            assert {name: (copies / Path(name).name).stat().st_size for name in sizes} == sizes
            newest = check(copies, last_seq, newest)
    finally:
        stop.set()
        writer.join()


def check(copies: Path, last_seq: int, earlier: int) -> int:
    catalog = apsw.Connection(str(copies / "catalog.sqlite"))
    log = apsw.Connection(str(copies / "log.sqlite"))
    feeds = catalog.execute("SELECT count(*) FROM entries WHERE key GLOB 'feeds/*'").get
    cursor = catalog.execute("SELECT value FROM entries WHERE key = 'sources/cursor'").get
    highest, version = log.execute("SELECT max(seq), max(feed_version) FROM entries").get
    catalog.close()
    log.close()
    assert highest == last_seq >= earlier
    assert version <= feeds
    assert cursor is None or json.loads(cursor) <= highest
    assert not list(copies.glob("*-wal"))
    return int(highest)
