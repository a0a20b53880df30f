"""Two APIs for these tests: `api` alone (its store is not there), `whole` with the real engine and the real mill."""

from collections.abc import Iterator

import pytest

from tests.support.api import Api, running_api, running_mill, running_worker
from tests.support.engine import running_engine
from tidemill.settings import Settings
from tidemill.store.migrate import migrate

SMALL = {"max_body": 20_000, "max_bulk_body": 4_000_000, "max_unpacked": 100_000, "body_timeout": 0.6}


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Small limits and a short time for bodies, so that they can be reached quickly."""
    folder = tmp_path_factory.mktemp("api")
    with running_api(folder, settings=Settings(data=str(folder), **SMALL)) as running:
        yield running


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("whole")
    with running_engine(folder / "store") as address:
        migrate(address)
        with (
            running_api(folder, store=address) as running,
            running_mill(folder, address, running.hints),
            running_worker(folder, address, running.wake),
        ):
            yield running


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Needs a key for everything; its store is not there."""
    with running_api(tmp_path_factory.mktemp("keyed"), open_access=False) as running:
        yield running
