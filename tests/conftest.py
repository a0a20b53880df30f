"""How properties are tested: the same examples each time, and no deadline (a busy machine is no fault of the code).

With TIDEMILL_TEST_PROFILE=fuzz the examples are others each time, and what breaks a property is kept in `.hypothesis`
and tried first by the next run (`scripts/fuzz.py`).
"""

from hypothesis import settings

from tests.support.searching import FUZZ, STEADY, profile

settings.register_profile(STEADY, deadline=None, derandomize=True, print_blob=True)
settings.register_profile(FUZZ, deadline=None, derandomize=False, print_blob=True, max_examples=400)
settings.load_profile(profile())
