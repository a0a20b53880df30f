"""How often slow tests repeat: a few times in `make test` and `make test-faults`, many times in `make faults`."""

import os


def rounds(short: int, full: int) -> int:
    """`short`, or `full` where TIDEMILL_TEST_ROUNDS=full."""
    return full if os.environ.get("TIDEMILL_TEST_ROUNDS") == "full" else short
