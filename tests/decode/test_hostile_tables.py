"""Small bodies that would take gigabytes, minutes or the process itself are refused or named, in a child with a limit
of memory."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.decode.hostile_child import HOSTILE

LIMIT_BYTES = 700 << 20
CODES = {
    "groups in groups": ["wrong_type"],
    "lists in lists": ["wrong_type"],
    "a page of many values": ["too_long"],
    "columns behind a line feed in quotes": ["too_many_members"],
    "a number of a million digits": ["too_long"],
    "arrays in an array": ["invalid_json"],
    "a group of many rows": ["too_many_records"],
}


@pytest.fixture(scope="module")
def answers() -> dict[str, list[str]]:
    """The codes of each hostile body."""
    command = [sys.executable, "-m", "tests.decode.hostile_child", str(LIMIT_BYTES)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines: list[Any] = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, (lines, run.returncode, run.stderr[-2000:])
    return dict(lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_with_its_reason(name: str, answers: dict[str, list[str]]) -> None:
    assert answers[name] == CODES[name]
