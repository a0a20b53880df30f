"""The supervisor's arithmetic, without processes (those are in faults/test_processes.py)."""

import socket

import pytest

from tidemill.supervise import MAX_PAUSE_S, PATIENCE, _pause_s, _reserve_port


def test_quick_deaths_are_restarted_at_once_and_then_with_growing_pauses() -> None:
    assert [_pause_s(n) for n in range(PATIENCE + 1)] == [0.0] * (PATIENCE + 1)
    pauses = [_pause_s(PATIENCE + n) for n in range(1, 12)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.2)
    assert pauses[-1] == MAX_PAUSE_S


def test_a_crash_loop_that_lasts_for_days_has_a_pause_too() -> None:
    assert _pause_s(1_000_000) == MAX_PAUSE_S


def test_the_store_port_is_held_and_refuses_until_the_store_listens() -> None:
    with _reserve_port() as holder:
        address = holder.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=1)
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(address)
        with socket.socket() as store:
            store.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            store.bind(address)
            store.listen()
            for _ in range(20):
                socket.create_connection(address, timeout=1).close()
