"""The clock that removals go by: a jump stops them, steady running or a person's word lets them go on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.clock import AWAY_NS, DAY_NS, NS_PER_S, STEP_NS, ClockFile, Trust, TrustedClock, boot_id, since_boot_s

NOW_NS = 1_800_000_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S
YEARS_NS = 3650 * DAY_NS


class Machine:
    """A machine whose clock may be set, that sleeps, stops and boots."""

    def __init__(self, folder: Path) -> None:
        self.wall_ns, self.passed_ns, self.boot = NOW_NS, 0, 1
        self.path = folder / "clock"

    def start(self, trust: Trust | None = None, **options: Any) -> TrustedClock:
        return TrustedClock(
            ClockFile(self.path),
            trust or Trust(),
            wall_ns=lambda: self.wall_ns,
            passed_s=lambda: self.passed_ns / NS_PER_S,
            boot=str(self.boot),
            **options,
        )

    def run(self, ns: int) -> None:
        self.wall_ns += ns
        self.passed_ns += ns

    def boot_after(self, ns: int) -> None:
        self.wall_ns += ns
        self.passed_ns = 0
        self.boot += 1


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_clock_that_runs_steadily_is_trusted(machine: Machine) -> None:
    clock = machine.start()
    for _ in range(1000):
        machine.run(7 * HOUR_NS)
        assert clock.now_ns() == machine.wall_ns
    assert clock.doubt == ""


@pytest.mark.parametrize("jump_ns", [YEARS_NS, -YEARS_NS, DAY_NS + HOUR_NS, -DAY_NS - HOUR_NS])
def test_a_jump_by_more_than_a_day_stops_removals_for_three_steady_days(machine: Machine, jump_ns: int) -> None:
    clock = machine.start()
    machine.run(HOUR_NS)
    machine.wall_ns += jump_ns
    for _ in range(72):
        assert clock.now_ns() is None
        assert f"{jump_ns / DAY_NS:+.1f} days" in clock.doubt
        machine.run(HOUR_NS)
    assert clock.now_ns() == machine.wall_ns
    assert clock.doubt == ""


def test_many_small_jumps_are_a_large_one(machine: Machine) -> None:
    clock = machine.start()
    for _ in range(2):
        machine.wall_ns += 11 * HOUR_NS
        assert clock.now_ns() == machine.wall_ns
    machine.wall_ns += 11 * HOUR_NS
    assert clock.now_ns() is None


def test_a_clock_that_comes_back_has_to_run_steadily_too(machine: Machine) -> None:
    """What was received meanwhile bears the wrong time: it must not be old at once."""
    clock = machine.start()
    machine.wall_ns -= YEARS_NS
    assert clock.now_ns() is None
    machine.run(70 * HOUR_NS)
    machine.wall_ns += YEARS_NS
    assert clock.now_ns() is None
    machine.run(70 * HOUR_NS)
    assert clock.now_ns() is None
    machine.run(3 * HOUR_NS)
    assert clock.now_ns() == machine.wall_ns


def test_a_restart_within_a_boot_neither_hides_a_jump_nor_makes_one(machine: Machine) -> None:
    machine.start()
    machine.run(100 * DAY_NS)
    assert machine.start().now_ns() == machine.wall_ns, "the machine slept or the server was stopped"
    machine.wall_ns += YEARS_NS
    assert machine.start().now_ns() is None, "the clock was set while the server was stopped"
    machine.run(71 * HOUR_NS)
    assert machine.start().now_ns() is None
    machine.run(2 * HOUR_NS)
    assert machine.start().now_ns() == machine.wall_ns, "the hours of earlier starts count"


@pytest.mark.parametrize(("away_ns", "trusted"), [
    (0, True), (6 * DAY_NS, True), (-HOUR_NS, True),
    (AWAY_NS + HOUR_NS, False), (YEARS_NS, False), (-2 * DAY_NS, False),
])  # fmt: skip
def test_after_a_boot_the_clock_may_be_a_week_ahead(machine: Machine, away_ns: int, trusted: bool) -> None:
    machine.start()
    machine.boot_after(away_ns)
    assert (machine.start().now_ns() is not None) == trusted


def test_a_doubt_outlives_a_boot(machine: Machine) -> None:
    machine.start()
    machine.wall_ns += YEARS_NS
    assert machine.start().now_ns() is None
    machine.run(71 * HOUR_NS)
    machine.boot_after(HOUR_NS)
    clock = machine.start()
    machine.run(71 * HOUR_NS)
    assert clock.now_ns() is None
    machine.run(2 * HOUR_NS)
    assert clock.now_ns() == machine.wall_ns


def test_a_persons_word_ends_a_doubt_and_is_no_licence_for_later(machine: Machine) -> None:
    machine.start()
    machine.wall_ns += YEARS_NS
    trust = Trust(confirmed_ns=machine.wall_ns - HOUR_NS)
    assert machine.start(Trust(confirmed_ns=NOW_NS)).now_ns() is None, "said of another time"
    clock = machine.start(trust)
    assert clock.now_ns() == machine.wall_ns
    machine.run(30 * DAY_NS)
    assert clock.now_ns() == machine.wall_ns
    machine.wall_ns += YEARS_NS
    assert clock.now_ns() is None


@pytest.mark.parametrize("content", [None, b"", b"\0" * 100, b"{}", b'{"boot": 5}'])
def test_without_its_file_the_newest_data_is_what_there_is(machine: Machine, content: bytes | None) -> None:
    def start(newest_ns: int) -> int | None:
        machine.path.unlink(missing_ok=True)
        if content is not None:
            machine.path.write_bytes(content)
        return machine.start(newest_ns=newest_ns).now_ns()

    assert start(0) == NOW_NS, "nothing can be lost yet"
    assert start(NOW_NS - 6 * DAY_NS) == NOW_NS
    assert start(NOW_NS - 30 * DAY_NS) is None
    assert start(NOW_NS + 2 * DAY_NS) is None


def test_a_file_that_cannot_be_written_stops_nothing(machine: Machine) -> None:
    machine.path = machine.path / "no" / "folder"
    clock = machine.start()
    assert clock.now_ns() == NOW_NS
    machine.wall_ns += YEARS_NS
    assert clock.now_ns() is None


def test_the_machines_own_clocks_agree(tmp_path: Path) -> None:
    clock = TrustedClock(ClockFile(tmp_path / "clock"), Trust())
    assert clock.now_ns() is not None
    assert since_boot_s() > 0
    assert boot_id() == boot_id()


MOVES: list[Callable[[Machine, int], None]] = [
    Machine.run,
    lambda machine, ns: setattr(machine, "wall_ns", machine.wall_ns + ns),
    lambda machine, ns: setattr(machine, "wall_ns", machine.wall_ns - ns),
    Machine.boot_after,
]


@given(st.lists(st.tuples(st.sampled_from(range(4)), st.integers(0, 20 * DAY_NS), st.booleans()), max_size=30))
def test_removals_never_go_by_a_time_that_may_be_wrong(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int, bool]]
) -> None:
    """Against the whole history: what is trusted is at most a day off the time that passed since it was trusted last,
    or a week where a boot hides it, unless the clock ran steadily for three days."""
    machine = Machine(tmp_path_factory.mktemp("clock"))
    clock = machine.start()
    true_ns, slack_ns, steady_ns = machine.wall_ns, DAY_NS, 0
    for move, ns, restarts in moves:
        MOVES[move](machine, ns)
        true_ns += ns if move in (0, 3) else 0
        steady_ns = steady_ns + ns if move == 0 else steady_ns if ns <= STEP_NS and move != 3 else 0
        slack_ns += AWAY_NS if move == 3 else 0
        if restarts or move == 3:
            clock = machine.start()
        now = clock.now_ns()
        if steady_ns >= 72 * HOUR_NS:
            true_ns, slack_ns = machine.wall_ns, 2 * DAY_NS
        if now is not None:
            assert now == machine.wall_ns
            assert abs(now - true_ns) <= slack_ns
