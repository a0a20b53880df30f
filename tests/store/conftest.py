"""One engine for the session, one database a test."""

import secrets
from collections.abc import Iterator

import msgspec
import pytest

from tests.support.engine import running_engine
from tidemill.store.client import Store, StoreAddress
from tidemill.store.queries import query

DDL = {
    "create": query("create", "CREATE DATABASE {database:Identifier}"),
    "drop": query("drop", "DROP DATABASE {database:Identifier}"),
}


@pytest.fixture(scope="session")
def engine_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    with running_engine(tmp_path_factory.mktemp("store") / "engine") as address:
        yield address


@pytest.fixture
def address(engine_address: StoreAddress) -> Iterator[StoreAddress]:
    """The address of an empty database of the test's own."""
    name = f"test_{secrets.token_hex(4)}"
    store = Store(engine_address, queries=DDL)
    store.command("create", database=name)
    yield msgspec.structs.replace(engine_address, database=name)
    store.command("drop", database=name)
    store.close()
