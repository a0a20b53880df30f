"""Whether properties are searched at random for what breaks them (`make fuzz`), or tried with the same examples."""

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
