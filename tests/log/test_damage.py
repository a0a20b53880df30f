"""Flipped bits and garbled bytes in the log: what is whole is served, what is not is named once and never taken for
what was sent, and payloads are acknowledged all the while."""

import random
from pathlib import Path

import apsw
import pytest

from tests.log.payloads import payload
from tidemill.errors import LogCorruptError
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog, SqliteLogReader, database, entries
from tidemill.model.payload import LogEntry

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0)
BODY = b"a body that a disk will garble, and that is too long to be mended by trying " * 80


def written(folder: Path, *bodies: bytes) -> list[LogEntry]:
    log = SqliteLog(folder, limits=LIMITS)
    for body in bodies:
        log.append(payload(body)).result(5)
    found = log.read(0, 1000, 1 << 30)
    log.close()
    return found


def garble(folder: Path, old: bytes, new: bytes) -> None:
    file = folder / "log.sqlite"
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))


def test_a_damaged_entry_is_named_once_and_holds_nobody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = written(tmp_path, b"1", BODY, b"3")
    garble(tmp_path, b"will garble", b"did garble!")
    log = SqliteLog(tmp_path, limits=LIMITS)
    assert log.append(payload(b"4")).result(5).seq == 4
    for _ in range(3):
        found = log.read(0, 10, 1 << 20)
    assert [(entry.seq, bool(entry.damage)) for entry in found] == [(1, False), (2, True), (3, False), (4, False)]
    receipt = before[1].payload.receipt
    health = log.health()
    assert health.accepting and f"entry 2 (receipt {receipt}) is damaged" in health.degraded
    assert caplog.text.count("is damaged") == 1 and "verify --repair" in caplog.text
    assert (damaged := log.find("default", receipt)) is not None and damaged.damage
    assert not log.mend(2, b"other bytes")
    assert log.mend(2, BODY)
    assert (log.known_damages(), log.health().degraded) == ([], "")
    assert [entry.damage for entry in log.read(0, 10, 1 << 20)] == [""] * 4
    log.close()


@pytest.mark.parametrize("seed", range(40))
def test_one_flipped_bit_of_a_row_is_taken_back(seed: int) -> None:
    chance = random.Random(seed)
    row = database.row_of_payload(
        chance.randrange(1, 1 << 40), payload(chance.randbytes(chance.randrange(300)), faults=())
    )
    column = chance.choice([n for n, value in enumerate(row) if value not in (None, b"")])
    value = row[column]
    if isinstance(value, int):
        flipped: object = value ^ 1 << chance.randrange(40)
    else:
        data = bytearray(value.encode() if isinstance(value, str) else value)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        flipped = data.decode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(data)
    checked = entries.check_row((*row[:column], flipped, *row[column + 1 :]))
    assert checked.mended and not checked.damage
    assert checked.row == row


def test_an_entry_of_which_nothing_is_sure_is_left_out(tmp_path: Path) -> None:
    whole = written(tmp_path, b"1", b"2", b"3")
    connection = apsw.Connection(str(tmp_path / "log.sqlite"))
    connection.execute("UPDATE entries SET tenant = 'another', feed = 'meters' WHERE seq = 2")
    connection.close()
    reader = SqliteLogReader(tmp_path)
    assert reader.read(0, 10, 1 << 20) == [whole[0], whole[2]]
    assert reader.read(1, 1, 1 << 20) == [whole[2]], "the end of the log is not here"
    assert reader.find("another", whole[1].payload.receipt) is None
    reader.close()


def test_a_log_without_seals_is_read(tmp_path: Path) -> None:
    whole = written(tmp_path, b"1", b"2")
    connection = apsw.Connection(str(tmp_path / "log.sqlite"))
    connection.execute("UPDATE entries SET seal = NULL")
    connection.close()
    reader = SqliteLogReader(tmp_path)
    assert reader.read(0, 10, 1 << 20) == whole
    reader.close()


def by_headers(log: SqliteLogReader) -> list[int]:
    """The places of all entries, as who works the log off finds them."""
    seqs = [0]
    while headers := log.headers(seqs[-1], 7):
        seqs += [header.seq for header in headers]
    return seqs[1:]


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_anywhere_in_the_file_gives_no_wrong_bytes(seed: int, tmp_path: Path) -> None:
    """And no damage in old pages keeps payloads from being acknowledged."""
    chance = random.Random(seed)
    whole = written(tmp_path, *(chance.randbytes(chance.choice([20, 200, 9_000])) for _ in range(60)))
    right = {entry.seq: entry for entry in whole}
    file = tmp_path / "log.sqlite"
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    try:
        log = SqliteLog(tmp_path, limits=LIMITS)
    except LogCorruptError as error:
        assert "verify --repair" in error.message
        return
    found = log.read(0, 100, 1 << 30)
    assert all(entry == right[entry.seq] or entry.damage for entry in found)
    assert [entry.seq for entry in found] == sorted({entry.seq for entry in found})
    reader = SqliteLogReader(tmp_path)
    seqs = by_headers(reader)
    assert (reader.entries_at(seqs), reader.entries_at(seqs[::2])) == (
        found,
        [entry for entry in found if entry.seq in seqs[::2]],
    )
    reader.close()
    if len(found) < len(whole) or any(entry.damage for entry in found):
        assert log.health().degraded
    for entry in whole:
        assert (one := log.find("default", entry.payload.receipt)) is None or one == entry or one.damage
    refused = log.append(payload(b"more")).exception(5)
    assert refused is None or "verify --repair" in str(refused)
    assert log.health().accepting == (refused is None)
    log.close()
