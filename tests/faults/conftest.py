"""The house of the mill's tests, for those that break it."""

from tests.mill.conftest import build, engine, house

__all__ = ["build", "engine", "house"]
