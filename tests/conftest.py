"""How properties are tested: the same examples each time, and no deadline (a busy machine is no fault of the code)."""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("steady")
