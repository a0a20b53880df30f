"""Searches for examples that break the properties of the tests: rounds with other examples each, until the time is up.

`.venv/bin/python scripts/fuzz.py [MINUTES [PYTEST ARGUMENTS...]]` (10 minutes; the last round is finished). Ends with
the first round in which a property is broken, with its exit status; hypothesis keeps the example in `.hypothesis`, and
the next run tries it first.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TEST_TIMEOUT_S: Final = 1_800
PROPERTIES: Final = ["-m", "hypothesis", "--ignore=tests/faults", f"--timeout={TEST_TIMEOUT_S}"]


def run_rounds(minutes: float, arguments: list[str]) -> int:
    """Run rounds for this long; returns the exit status of the first failed round, else 0."""
    environment = os.environ | {"TIDEMILL_TEST_PROFILE": "fuzz"}
    begun, number = time.monotonic(), 0
    while number == 0 or time.monotonic() - begun < 60 * minutes:
        number += 1
        print(f"round {number}, {(time.monotonic() - begun) / 60:.1f} of {minutes:g} minutes", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *PROPERTIES, *arguments], cwd=ROOT, env=environment, check=False
        )
        if done.returncode:
            print(f"round {number} broke something: see above; the next run tries it first", flush=True)
            return done.returncode
    print(f"nothing broken in {number} rounds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_rounds(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, sys.argv[2:]))
