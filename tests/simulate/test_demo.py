"""The demonstration sends to feeds and serves what others poll.

Its first series of samples comes after ten seconds, so it is not waited for here.
"""

import signal
import subprocess
import sys
import time

import httpx

from tests.simulate.reference import Reference
from tests.support.server import free_port
from tidemill.simulate.server import running

DEMO = """
import sys
from tidemill.simulate import data_server, demo, meters
data_server.DEFAULT_PORT, meters.DEFAULT_PORT = int(sys.argv[2]), int(sys.argv[3])
demo.run(sys.argv[1])
"""


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=2).status_code < 600
    except httpx.HTTPError:
        return False


def test_feeds_get_something_until_the_demonstration_is_told_to_end() -> None:
    reference, ports = Reference(), (free_port(), free_port())
    with running(reference) as url:
        demo = subprocess.Popen([sys.executable, "-c", DEMO, url, *map(str, ports)])
        try:
            deadline = time.monotonic() + 30
            while not (reference.fixes and reference.rows and all(map(answers, ports))):
                assert demo.poll() is None, "the demonstration ended by itself"
                assert time.monotonic() < deadline, (reference.fixes, reference.rows)
                time.sleep(0.05)
            demo.send_signal(signal.SIGTERM)
            assert demo.wait(20) == 0
        finally:
            demo.kill()
            demo.wait()
