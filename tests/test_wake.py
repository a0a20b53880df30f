"""The pipe that wakes a process: a wake is there until it is taken, however many there were."""

from collections.abc import Iterator

import pytest

from tidemill.wake import WakePipe


@pytest.fixture
def pipe() -> Iterator[WakePipe]:
    pipe = WakePipe.new()
    yield pipe
    pipe.close()


def test_a_wake_is_there_until_it_is_taken(pipe: WakePipe) -> None:
    assert not pipe.is_woken()
    pipe.wake()
    assert pipe.is_woken() and pipe.is_woken(60)
    pipe.drain()
    assert not pipe.is_woken(0.01)
    pipe.drain()


def test_a_full_pipe_takes_more_wakes_and_is_emptied_at_once(pipe: WakePipe) -> None:
    for _ in range(70_000):
        pipe.wake()
    pipe.drain()
    assert not pipe.is_woken()
