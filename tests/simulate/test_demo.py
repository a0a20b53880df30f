"""The demonstration sends to feeds and serves what others poll, on the sockets that it is given.

Its first series of samples comes after ten seconds, so it is not waited for here.
"""

import signal
import socket
import subprocess
import sys
import time

import httpx

from tests.simulate.reference import Reference
from tidemill.simulate.server import running

DEMO = """
import socket, sys
from tidemill.simulate import demo
names = ("telemetry", "meters")
demo.run_demo_traffic(sys.argv[1], {name: socket.socket(fileno=int(fd)) for name, fd in zip(names, sys.argv[2:])})
"""


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=2, trust_env=False).status_code < 600
    except httpx.HTTPError:
        return False


def test_feeds_get_something_until_the_demonstration_is_told_to_end() -> None:
    reference, listeners = Reference(), [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports, fds = [one.getsockname()[1] for one in listeners], [one.fileno() for one in listeners]
    with running(reference) as url:
        demo = subprocess.Popen([sys.executable, "-c", DEMO, url, *map(str, fds)], pass_fds=fds)
        try:
            deadline = time.monotonic() + 60
            while not (reference.fixes and reference.rows and all(map(answers, ports))):
                assert demo.poll() is None, "the demonstration ended by itself"
                assert time.monotonic() < deadline, (reference.fixes, reference.rows)
                time.sleep(0.05)
            demo.send_signal(signal.SIGTERM)
            assert demo.wait(20) == 0
        finally:
            demo.kill()
            demo.wait()
            for one in listeners:
                one.close()
