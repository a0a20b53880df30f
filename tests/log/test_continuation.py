"""A restored log hands out no place that the original may have handed out after the backup."""

from pathlib import Path

import pytest

from tests.log.payloads import payload
from tidemill.errors import LogCorruptError
from tidemill.log.sqlite import SqliteLog, continuation


def test_a_log_goes_on_above_the_place_in_the_file(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    assert log.append(payload(b"a")).result(10).seq == 1
    log.close()
    (tmp_path / continuation.CONTINUE_ABOVE_FILE).write_bytes(continuation.encode_continue_above(1000))
    log = SqliteLog(tmp_path)
    assert log.last_seq() == 1
    assert [log.append(payload(b"b")).result(10).seq for _ in range(2)] == [1001, 1002]
    log.close()
    log = SqliteLog(tmp_path, known_offset=1002)
    assert log.append(payload(b"c")).result(10).seq == 1003
    assert [entry.seq for entry in log.read(0, 10, 1000)] == [1, 1001, 1002, 1003]
    log.close()


@pytest.mark.parametrize("content", [b"", b"1000", b"1000 00000000\n", b"x 1\n"])
def test_a_damaged_file_is_refused_and_named(tmp_path: Path, content: bytes) -> None:
    SqliteLog(tmp_path).close()
    (tmp_path / continuation.CONTINUE_ABOVE_FILE).write_bytes(content)
    with pytest.raises(LogCorruptError, match=continuation.CONTINUE_ABOVE_FILE):
        SqliteLog(tmp_path)
    (tmp_path / continuation.CONTINUE_ABOVE_FILE).unlink()
    SqliteLog(tmp_path).close()
