"""HAProxy with `deploy/haproxy.cfg` before a real server: TLS, forged addresses, hidden metrics, streams."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import Server, free_port, running_server

CONFIGURATION = Path(__file__).parents[2] / "deploy/haproxy.cfg"
pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed here")
FIX = {
    "timestamp": "2017-01-01 13:05:12",
    "lat": 40.701,
    "long": -73.916,
    "accuracy": 11.3,
    "speed": 1.4,
    "user_id": "a1",
}


def certificate(folder: Path) -> Path:
    """A certificate of this test's own, with its key, in one file."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    both = folder / "localhost.pem"
    both.write_text(cert.read_text() + key.read_text())
    return both


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, httpx.Client, int]]:
    """A server that trusts the proxy, a client of the proxy, and the proxy's port without TLS."""
    folder = tmp_path_factory.mktemp("proxy")
    plain, secure = free_port(), free_port()
    with running_server(folder / "data", env={"TIDEMILL_TRUSTED_PROXIES": "127.0.0.1/32"}) as server:
        text = CONFIGURATION.read_text()
        for ours, theirs in (
            ("bind :80\n", f"bind 127.0.0.1:{plain}\n"),
            ("bind :443 ", f"bind 127.0.0.1:{secure} "),
            ("/etc/haproxy/certs", str(certificate(folder))),
            ("127.0.0.1:8080", f"127.0.0.1:{server.port}"),
        ):
            assert ours in text, f"{CONFIGURATION.name} says no more {ours.strip()}"
            text = text.replace(ours, theirs)
        (folder / "haproxy.cfg").write_text(text)
        command = ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
        checked = subprocess.run([*command, "-c"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and "WARNING" not in checked.stderr, checked.stderr
        proxy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with httpx.Client(
                base_url=f"https://localhost:{secure}", verify=False, trust_env=False, timeout=60
            ) as client:
                wait_for(client)
                yield server, client, plain
        finally:
            proxy.terminate()
            proxy.wait(30)


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the proxy does not answer"
        time.sleep(0.1)


def test_a_payload_goes_through_and_is_read_back(proxied: tuple[Server, httpx.Client, int]) -> None:
    _, client, _ = proxied
    sent = client.put("/location", json=FIX, headers={"Prefer": "wait=30"})
    assert sent.status_code == 200, sent.text
    assert client.get("/v1/feeds/location/rollups", params={"user_id": "a1"}).status_code == 200
    assert sent.headers["strict-transport-security"].startswith("max-age=")


def test_metrics_are_hidden_and_plain_http_is_redirected(proxied: tuple[Server, httpx.Client, int]) -> None:
    server, client, plain = proxied
    assert server.client.get("/metrics").status_code == 200
    assert client.get("/metrics").status_code == 404
    redirected = httpx.get(f"http://localhost:{plain}/v1/feeds", trust_env=False)
    assert redirected.status_code == 308 and redirected.headers["location"].startswith("https://")


def test_wrong_keys_are_counted_by_the_address_that_the_proxy_saw(proxied: tuple[Server, httpx.Client, int]) -> None:
    """An address that the client forges is replaced by the proxy, so that it does not get a count of its own."""
    _, client, _ = proxied
    statuses = []
    for number in range(80):
        forged = {"Authorization": f"Bearer tm_wrong{number}", "X-Forwarded-For": f"10.1.0.{number}"}
        statuses.append(client.get("/v1/feeds", headers=forged).status_code)
    assert set(statuses) <= {401, 429} and 429 in statuses
    assert client.get("/healthz").status_code == 200
