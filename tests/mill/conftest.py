"""One engine for a module's tests, a tenant of its own for each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mill.house import House
from tests.support.engine import running_engine
from tidemill.store.client import StoreAddress
from tidemill.store.migrate import migrate


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    with running_engine(tmp_path_factory.mktemp("store") / "engine", database="tidemill") as address:
        migrate(address)
        yield address


@pytest.fixture
def build(engine: StoreAddress, tmp_path: Path) -> Iterator[Callable[..., House]]:
    built: list[House] = []

    def one(**options: Any) -> House:
        folder = tmp_path / str(len(built))
        folder.mkdir()
        house = House(folder, engine, f"{tmp_path.name}-{len(built)}", **options)
        built.append(house)
        return house

    yield one
    for house in built:
        house.close()


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    return build()
