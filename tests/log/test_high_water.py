"""The high-water mark."""

from pathlib import Path

import pytest

from tidemill.errors import LogCorruptError
from tidemill.log.sqlite.high_water import HighWaterMark


def test_mark_is_what_was_noted_last(tmp_path: Path) -> None:
    mark = HighWaterMark(tmp_path / "mark")
    assert mark.value == 0
    mark.note(5)
    mark.note(2**43)
    mark.close()
    mark.close()
    again = HighWaterMark(tmp_path / "mark")
    assert again.value == 2**43
    again.close()


def test_a_new_mark_is_whole_before_it_has_its_name(tmp_path: Path) -> None:
    """An empty file that grows may hold zeros after a power cut: the mark is overwritten in place from its start."""
    (tmp_path / "mark").touch()
    (tmp_path / "mark.new").write_bytes(b"of a start that was cut short")
    mark = HighWaterMark(tmp_path / "mark")
    size = (tmp_path / "mark").stat().st_size
    mark.note(2**43)
    assert (tmp_path / "mark").stat().st_size == size > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "mark"]
    mark.close()


@pytest.mark.parametrize("content", [b"x", b"5\n", b"00000000000000000007 deadbeef\n", b"\x00" * 30])
def test_file_that_is_no_mark_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mark").write_bytes(content)
    with pytest.raises(LogCorruptError, match="not a high-water mark"):
        HighWaterMark(tmp_path / "mark")
