"""How many partitions a data folder has is settled once."""

from pathlib import Path

import pytest

from tests.log.payloads import payload
from tidemill.errors import LogCorruptError, StartupError
from tidemill.log.limits import LogLimits
from tidemill.log.partitions import partition_count, settle_partitions
from tidemill.log.sqlite import SqliteLog
from tidemill.model.offset import Partition, covers, partition_of, partition_of_feed, seq_of, start_of
from tidemill.model.payload import point_version


def test_another_number_of_partitions_is_refused(tmp_path: Path) -> None:
    settle_partitions(tmp_path, 4)
    assert partition_count(tmp_path) == 4
    settle_partitions(tmp_path, 4)
    with pytest.raises(StartupError, match="has 4 partitions, which stays"):
        settle_partitions(tmp_path, 1)
    (tmp_path / "partitions").write_text("many")
    with pytest.raises(StartupError, match="is damaged"):
        partition_count(tmp_path)
    (tmp_path / "partitions").unlink()
    (tmp_path / "log").mkdir()
    with pytest.raises(StartupError, match="has 1 partition, which stays"):
        settle_partitions(tmp_path, 2)


def test_the_files_of_another_partition_are_refused(tmp_path: Path) -> None:
    limits = LogLimits(min_free_bytes=0, min_free_ratio=0)
    log = SqliteLog(tmp_path, limits=limits, partition=2)
    last = log.append(payload()).result(5).seq
    log.close()
    for other in (1, 3):
        with pytest.raises(LogCorruptError):
            SqliteLog(tmp_path, limits=limits, partition=other)
    log = SqliteLog(tmp_path, limits=limits, partition=2)
    assert log.last_seq() == last == start_of(2) + 1
    log.close()


def test_an_offset_is_a_partition_and_a_place_in_it() -> None:
    offset = start_of(5) + 77
    assert (partition_of(offset), seq_of(offset)) == (5, 77)
    assert Partition(5).start < offset < Partition(5).end < Partition(6).start
    assert partition_of(Partition(5).end) == 5
    assert covers((10, start_of(1) + 3), start_of(1) + 3) and not covers((10, start_of(1) + 3), 11)
    assert point_version(offset, 3, first_wins=False) == point_version(77, 3, first_wins=False)


def test_a_feed_stays_where_it_is() -> None:
    """The numbers are in the folders of users: another function would tear feeds apart."""
    found = [
        partition_of_feed("default", feed, 4) for feed in ("location", "dropzone", "telemetry", "signals", "meters")
    ]
    assert found == [2, 0, 3, 2, 1]
    assert {partition_of_feed("t", f"feed-{n}", 4) for n in range(50)} == {0, 1, 2, 3}
    assert partition_of_feed("t", "f", 1) == 0
