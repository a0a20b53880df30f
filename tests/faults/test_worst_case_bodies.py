"""The bodies that cost most to read: decoded in memory and time that grow with their size and no faster.

Each shape is decoded in a process of its own kind, under a limit of its memory. A time is that of the processor; of a
shape that takes twice the time for twice the size it may be three times here, of a quadratic one it is four."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.rounds import rounds
from tests.support.worst_bodies import WORST

MIB = 1 << 20
LIMIT_BYTES = 768 * MIB  # beyond what the process has loaded
SMALL, LARGE = 256 << 10, rounds(MIB, 8 * MIB)
FULL = 8 * MIB
GROWTH = 1.5  # what time may grow by, beyond the size
NOISE_S = 0.3  # below this, a time says nothing
# Most records, most bytes a record, the largest objects: what takes most memory.
HEAVIEST = ("empty_objects", "backslash_beside_the_records", "open_brackets_in_a_text", "million_objects")


def decoded(shapes: Sequence[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """What the child says of each shape; raises where it ended before."""
    command = [sys.executable, "-m", "tests.faults.decode_child", str(LIMIT_BYTES)]
    done = subprocess.run(
        [*command, *(f"{name}:{size}" for name, size in shapes)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{shapes[len(lines)]} ended the process: {done.stderr[-2000:]}"
    return map(json.loads, lines)


def bounded(line: dict[str, Any]) -> bool:
    return bool(line["ledger_bytes"] <= 2 * line["bytes"] + 1024 * line["rejected"])


@pytest.mark.parametrize("part", range(4))
def test_time_and_memory_grow_with_the_size(part: int) -> None:
    names = sorted(WORST)[part :: rounds(8, 4)]
    lines = list(decoded([(name, size) for name in names for size in (SMALL, LARGE)]))
    assert all(map(bounded, lines))
    for small, large in zip(lines[::2], lines[1::2], strict=True):
        assert large["bytes"] >= LARGE // 2
        growth = large["bytes"] / small["bytes"] * GROWTH
        assert large["seconds"] <= growth * max(small["seconds"], NOISE_S), (small, large)


@pytest.mark.parametrize("name", HEAVIEST)
def test_eight_mebibytes_are_decoded_in_less_than_the_limit(name: str) -> None:
    (line,) = decoded([(name, FULL)])
    assert bounded(line)
    assert line["records"] == line["rejected"]
