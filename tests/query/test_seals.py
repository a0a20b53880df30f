"""Sealed cursors: they come back as they were, to whom they were given, and say nothing to anybody."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.query.cursors import KEY_BYTES, MAX_PARTS, Seals, read_sealed_cursor

SEALS = Seals(bytes(range(KEY_BYTES)))
PARTS = st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=MAX_PARTS)


@given(PARTS, st.text(max_size=20), st.booleans())
def test_places_come_back(parts: list[int], tenant: str, fresh: bool) -> None:
    text = SEALS.seal("r", tenant, *parts, fresh=fresh)
    assert read_sealed_cursor(text, {}) == text
    assert list(SEALS.open("r", tenant, text, len(parts))) == parts


@given(PARTS, st.data())
def test_no_changed_text_is_opened(parts: list[int], data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SEALS.seal("r", "t", *parts) + "=="))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    text = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    with pytest.raises(ValueError, match="is not a cursor"):
        SEALS.open("r", "t", text, len(parts))


@given(st.text(max_size=120))
def test_no_text_breaks_the_opening(text: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        SEALS.open("r", "t", text, 2)


def test_a_text_is_for_one_tenant_one_route_and_one_key() -> None:
    text = SEALS.seal("r", "t", 1, 2)
    for seals, route, tenant in ((SEALS, "r", "u"), (SEALS, "s", "t"), (Seals(bytes(KEY_BYTES)), "r", "t")):
        with pytest.raises(ValueError, match="is not a cursor"):
            seals.open(route, tenant, text, 2)


def test_length_and_bytes_say_nothing_of_the_place() -> None:
    small, large = SEALS.seal("r", "t", 1), SEALS.seal("r", "t", 2**64 - 1)
    assert len(small) == len(large)
    near, next_to_it = (base64.urlsafe_b64decode(SEALS.seal("r", "t", 1000 + n) + "==") for n in (0, 1))
    assert sum(a == b for a, b in zip(near, next_to_it, strict=True)) < 12  # of 33: as many as chance


def test_ids_stay_and_fresh_texts_do_not() -> None:
    assert SEALS.seal("r", "t", 5) == SEALS.seal("r", "t", 5)
    assert SEALS.seal("r", "t", 5, fresh=True) != SEALS.seal("r", "t", 5, fresh=True)
