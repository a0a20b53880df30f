"""Streams in a row are unpacked as one, in pieces, and what is no whole stream says why."""

import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tidemill.decode.unpack import MAX_MEMBERS, BrokenStreamError, gunzip, unzstd

PARTS = st.lists(st.binary(max_size=3000) | st.integers(0, 200_000).map(bytes), min_size=1, max_size=5)


@given(PARTS, st.integers(0, 600))
def test_members_in_a_row_are_one_body(parts: list[bytes], padding: int) -> None:
    packed = b"".join(map(gzip.compress, parts))
    assert b"".join(gunzip(packed + bytes(padding))) == b"".join(parts)
    assert b"".join(gunzip(zlib.compress(parts[0]), or_zlib=True)) == parts[0]


@given(PARTS)
def test_frames_in_a_row_are_one_body(parts: list[bytes]) -> None:
    skipped = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"hello"
    packed = skipped.join(map(zstandard.compress, parts)) + skipped
    assert b"".join(unzstd(packed)) == b"".join(parts)


@given(PARTS, st.data())
def test_what_is_cut_off_is_never_taken_for_whole(parts: list[bytes], data: st.DataObject) -> None:
    for pack, unpack in ((gzip.compress, gunzip), (zstandard.compress, unzstd)):
        packed = [pack(part) for part in parts]
        left = data.draw(st.integers(0, len(packed[-1]) - 1))
        if left or len(parts) == 1:
            with pytest.raises(BrokenStreamError):
                list(unpack(b"".join(packed[:-1]) + packed[-1][:left]))


def test_a_piece_is_small_whatever_was_packed() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert max(map(len, gunzip(bomb))) <= 64 << 10
    assert max(map(len, unzstd(zstandard.compress(bytes(50_000_000))))) <= 16 << 20, "512 bytes: 128 blocks of 128 KiB"


def test_the_number_of_members_is_bounded() -> None:
    empty = gzip.compress(b"")
    assert list(gunzip(empty * MAX_MEMBERS)) == []
    with pytest.raises(BrokenStreamError, match="members"):
        list(gunzip(empty * (MAX_MEMBERS + 1)))
    with pytest.raises(BrokenStreamError, match="no further member"):
        list(gunzip(empty + b"x"))
    with pytest.raises(BrokenStreamError, match="no further frame"):
        list(unzstd(zstandard.compress(b"") + b"x"))
