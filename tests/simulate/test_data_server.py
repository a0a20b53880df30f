"""The data server hands out the points it says it does, and misbehaves on request."""

import base64
import itertools
import struct
import time

import httpx
import pytest

from tidemill.simulate.data_server import DataServer, DataServerOptions
from tidemill.simulate.fault_injector import parse_faults
from tidemill.simulate.server import running


def decoded(body):
    value = body["value"]
    raw = base64.b64decode(value) if isinstance(value, str) else bytes(value)
    return struct.unpack("<f", raw)[0]


def drain(url, client):
    points = []
    while (response := client.get(url)).status_code == 200:
        points.append(response.json())
    assert response.status_code == 404
    return points


def test_every_point_is_handed_out_once_and_tallied():
    with running(DataServer(DataServerOptions(count=300, rate=0))) as url, httpx.Client() as client:
        points = drain(url, client)
        tally = client.get(f"{url}/tally", params={"points": "1"}).json()
    assert len(points) == tally["handed_out"] == 300
    assert tally["remaining"] == 0
    assert tally["kept"] + tally["rejected"] == 300
    assert [(p["time"], decoded(p)) for p in points] == [(p["time"], p["value"]) for p in tally["points"]]
    assert {"system", "suspect"} <= set(itertools.chain.from_iterable(p["tags"] for p in points))
    assert set(tally["by_reason"]) == {"too_old", "internal", "suspect"}
    assert any(isinstance(p["value"], str) for p in points) and any(isinstance(p["value"], list) for p in points)


def test_same_seed_gives_the_same_points():
    def values(seed):
        server = DataServer(DataServerOptions(count=50, rate=0, seed=seed), clock=lambda: 1_700_000_000.0)
        with running(server) as url, httpx.Client() as client:
            return drain(url, client)

    assert values(7) == values(7)
    assert values(7) != values(8)


def test_points_become_available_at_the_rate():
    now = [1000.0]
    server = DataServer(DataServerOptions(rate=2), clock=lambda: now[0])
    with running(server) as url, httpx.Client() as client:
        assert drain(url, client) == []
        now[0] += 2.5
        assert len(drain(url, client)) == 5


@pytest.mark.parametrize("fault", ["500", "garbage", "reset", "hang", "endless"])
def test_fault_uses_up_no_point(fault):
    server = DataServer(DataServerOptions(count=5, rate=0, faults=f"{fault}=1"))
    with running(server) as url, httpx.Client(timeout=0.3) as client:
        if fault in {"reset", "hang"}:
            with pytest.raises(httpx.TransportError):
                client.get(url)
        elif fault == "endless":
            with client.stream("GET", url) as response:
                assert sum(map(len, itertools.islice(response.iter_bytes(), 50))) > 1_000_000
        elif fault == "500":
            assert client.get(url).status_code == 500
        else:
            response = client.get(url)
            assert response.status_code == 200
            with pytest.raises(ValueError):
                response.json()
        tally = client.get(f"{url}/tally").json()
    assert tally["handed_out"] == 0
    assert tally[f"fault_{fault}"] == 1


def test_point_of_a_slow_body_that_was_not_read_is_handed_out_again():
    server = DataServer(DataServerOptions(count=1, rate=0, faults="slow=1"))
    with running(server) as url:
        with httpx.Client(timeout=5) as client, client.stream("GET", url) as response:
            first = next(response.iter_raw(1))
        assert first == b"{"
        with httpx.Client(timeout=5) as client:
            deadline = time.monotonic() + 60
            while (response := client.get(url)).status_code == 404 and time.monotonic() < deadline:
                time.sleep(0.02)  # the server learns of the broken connection when it writes the next piece
            assert response.status_code == 200 and "value" in response.json()
            assert client.get(f"{url}/tally").json()["handed_out"] == 1


@pytest.mark.parametrize("text", ["lies=0.5", "500=x", "500", "500=1.5", "500=0.6,hang=0.6"])
def test_bad_fault_text_is_explained(text):
    with pytest.raises(ValueError, match=r"fault|rate"):
        parse_faults(text)
