"""The house of the mill's tests, for those that break it, and the store of the queries' tests."""

from tests.mill.conftest import build, engine, house
from tests.query.conftest import migrated, store, writer

__all__ = ["build", "engine", "house", "migrated", "store", "writer"]
