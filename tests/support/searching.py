"""Whether property tests search at random (`make fuzz`) or use the same examples each time."""

import os
from typing import Final

VARIABLE: Final = "TIDEMILL_TEST_PROFILE"
STEADY: Final = "steady"
FUZZ: Final = "fuzz"


def profile() -> str:
    """The hypothesis profile to load: `steady` or `fuzz`."""
    return os.environ.get(VARIABLE, STEADY)


def is_fuzzing() -> bool:
    """Whether examples are random, so that another run tries others."""
    return profile() == FUZZ
