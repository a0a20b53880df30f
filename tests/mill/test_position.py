"""Where the mill is survives, and what cannot be read means the beginning."""

from pathlib import Path

import pytest

from tidemill.mill.position import Position, read, reconcile


def test_a_saved_position_is_read_back(tmp_path: Path) -> None:
    Position(tmp_path / "run" / "mill.position").save(123_456_789_012)
    assert Position(tmp_path / "run" / "mill.position").seq == 123_456_789_012


@pytest.mark.parametrize("content", [b"", b"7", b"tidemill-position-1 7 1\n", b"\xff\xfe", b"tidemill-position-1 x y"])
def test_a_damaged_position_means_the_beginning(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mill.position"
    path.write_bytes(content)
    assert read(path) == 0


def test_a_changed_digit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "mill.position"
    Position(path).save(4711)
    path.write_bytes(path.read_bytes().replace(b"4711", b"9711"))
    assert read(path) == 0


def test_a_store_that_knows_less_is_filled_from_where_it_ends() -> None:
    assert reconcile(500, in_store=120, first_seq=1, last_seq=600) == 120


def test_a_store_that_knows_more_is_applied_again_from_the_position() -> None:
    assert reconcile(500, in_store=550, first_seq=1, last_seq=600) == 500


def test_another_log_is_applied_whole() -> None:
    assert reconcile(500, in_store=500, first_seq=1, last_seq=3) == 0


def test_what_a_trimmed_log_cannot_give_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert reconcile(500, in_store=0, first_seq=301, last_seq=600) == 0
    assert "payloads 1 to 300 are only in backups" in caplog.text
