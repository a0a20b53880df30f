"""A private network is polled when the server and the feed both name it; else the state says which line is missing."""

import pytest

from tests.sources.conftest import HERE, drained, until
from tidemill.settings import load_settings
from tidemill.simulate.data_server import DataServer, DataServerOptions
from tidemill.simulate.server import running
from tidemill.sources.addresses import AddressPolicy

FEED_LINE = 'write allow = ["127.0.0.1/32"] in [source] of the feed'


@pytest.mark.parametrize(
    ("server", "feed", "missing"),
    [
        ("none", HERE, "To allow it, start the server with TIDEMILL_SOURCE_ALLOW=127.0.0.1/32."),
        ("10.0.0.0/8", HERE, "To allow it, start the server with TIDEMILL_SOURCE_ALLOW=10.0.0.0/8,127.0.0.1/32."),
        ("", (), f"To allow it, {FEED_LINE}."),
        ("none", (), f"To allow it, start the server with TIDEMILL_SOURCE_ALLOW=127.0.0.1/32 and {FEED_LINE}."),
    ],
)
def test_private_network_that_one_side_does_not_name_is_not_polled(server, feed, missing, polling, states):
    policy = AddressPolicy.parse(load_settings({"source_allow": server}, {}).source_networks(closed=False))
    data = DataServer(DataServerOptions(count=5, rate=0))
    with running(data) as url, polling(drained("telemetry", url, allow=feed), policy=policy):
        state = until(lambda: (s := states().get("telemetry")) and s.failures_in_a_row >= 2 and s)
    assert (state.state, state.reason, state.last_status) == ("failing", "address", None)
    assert "127.0.0.1 is a loopback address" in state.detail and state.detail.endswith(missing)


def test_private_network_that_both_name_is_polled(polling, intake):
    policy = AddressPolicy.parse(load_settings({}, {}).source_networks(closed=False))
    data = DataServer(DataServerOptions(count=5, rate=0))
    with running(data) as url, polling(drained("telemetry", url, allow=("127.0.0.1/32",)), policy=policy):
        until(lambda: len(intake.bodies()) == 5)
