"""One installation whose parts run as processes of their own, for the stories of the contracts."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import curl, sample, sources
from tests.support.server import Server, running_server

__all__ = ["curl", "sample", "sources"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, int]) -> Iterator[Server]:
    env = {
        "TIDEMILL_SERIES_WAIT": "10",
        "TIDEMILL_TELEMETRY_URL": f"http://127.0.0.1:{sources['telemetry']}/",
        "TIDEMILL_METERS_URL": f"http://127.0.0.1:{sources['meters']}/meterdata/measurement",
    }
    with running_server(tmp_path_factory.mktemp("parts") / "data", env=env, in_parts=True) as running:
        yield running
