"""One API with the real engine and the real mill, for the client's tests."""

from collections.abc import Iterator

import pytest

from tests.support.api import Api, running_api, running_mill, running_worker
from tests.support.engine import running_engine
from tidemill.client import Tidemill
from tidemill.store.migrate import migrate

PUMPS = """name = "pumps"
[time]
path = "$.t"
[tags.pump]
path = "$.pump"
[fields.bar]
path = "$.bar"
[fields.rpm]
path = "$.rpm"
required = false
[[rules]]
check = "range"
options = { field = "bar", max = 10 }
"""


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("client")
    with running_engine(folder / "store") as address:
        migrate(address)
        with (
            running_api(folder, store=address) as running,
            running_mill(folder, address, running.hints),
            running_worker(folder, address, running.wake),
        ):
            yield running


@pytest.fixture(scope="session")
def tidemill(whole: Api) -> Iterator[Tidemill]:
    """A client of it, with the feed `pumps`."""
    with Tidemill(whole.url) as client:
        client.apply_feed(PUMPS)
        yield client
