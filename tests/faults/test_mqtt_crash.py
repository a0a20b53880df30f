"""A process that subscribes to a broker is killed between receipt and acknowledgement of a message: no message is
lost, none is stored twice. A killed mill of a whole server, and a broker that goes away, neither."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import paho.mqtt.client as paho

from tests.faults.mqtt_child import open_log
from tests.support.mosquitto import Broker, needs_mosquitto, running_broker
from tests.support.rounds import rounds
from tests.support.server import running_server

pytestmark = needs_mosquitto
MESSAGES = 60
FIRST = 1_767_225_600
POINTS = ("mqtt.before_save", "mqtt.after_save", "mqtt.delivered", "mqtt.before_acknowledge", "mqtt.after_acknowledge")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def publish(broker: Broker, numbers: Iterable[int], qos: int = 1, device: str = "p1") -> None:
    """Messages of which two each have the same bytes, so that bytes alone do not tell one apart."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for number in numbers:
        text = json.dumps({"t": FIRST + number // 2, "level": 1.5})
        client.publish(f"plant/{device}", text, qos=qos).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


class Child:
    """A child process, and the seconds that it has put into the log."""

    def __init__(self, folder: Path, broker: Broker, crash_at: str = "") -> None:
        command = [sys.executable, "-m", "tests.faults.mqtt_child", str(folder), broker.url]
        environment = os.environ | ({"TIDEMILL_CRASH_AT": crash_at} if crash_at else {})
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        self.seconds: list[int] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seconds.append(json.loads(line)["message"]["t"] - FIRST)

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0
        self._reader.join(60)


def stored(folder: Path) -> Counter[int]:
    """How often each second is in the log."""
    log = open_log(folder / "log")
    try:
        entries = log.read(0, 5000, 64 << 20)
    finally:
        log.close()
    lines = [json.loads(line) for entry in entries for line in entry.payload.body.splitlines()]
    return Counter(line["message"]["t"] - FIRST for line in lines if line["topic"]["device"] == "p1")


def test_a_message_is_stored_once_wherever_the_process_is_killed(tmp_path: Path) -> None:
    points = POINTS if rounds(0, 1) else POINTS[1:4]
    with running_broker(tmp_path / "broker") as broker:
        first = Child(tmp_path / "data", broker)
        until(lambda: publish(broker, [0], device="p0") or bool(first.seconds))  # until it has subscribed
        first.end()
        for number, point in enumerate(points):
            publish(broker, range(number * MESSAGES, (number + 1) * MESSAGES))  # the broker keeps them
            assert Child(tmp_path / "data", broker, point).process.wait(60) == -9
        last, count = Child(tmp_path / "data", broker), len(points) * MESSAGES
        publish(broker, range(count, count + 2))
        until(lambda: last.seconds[-1:] == [count // 2])
        time.sleep(0.1)
        last.end()
    assert stored(tmp_path / "data") == Counter(number // 2 for number in range(count + 2))


def test_messages_outlive_a_killed_mill_and_a_broker_that_restarts(tmp_path: Path) -> None:
    with running_broker(tmp_path / "broker") as broker:
        text = (
            'name = "plant"\nduplicates = "keep"\n[input]\non_fault = "reject"\n[time]\npath = "$.message.t"\n'
            'format = "unix_s"\n[tags.device]\npath = "$.topic.device"\n[fields.level]\npath = "$.message.level"\n'
            f'[source]\nkind = "mqtt"\nurl = "{broker.url}"\nallow = ["127.0.0.0/8"]\nmax_backoff = "1s"\n'
            '[source.mqtt]\ntopics = ["plant/{device}"]\n'
        )
        with running_server(tmp_path / "data", env={"TIDEMILL_SOURCE_ALLOW": "127.0.0.0/8"}) as server:
            assert server.client.put("/v1/feeds/plant", content=text.encode()).status_code in (200, 201)

            def source() -> dict[str, object]:
                items = server.client.get("/v1/sources/plant").json()["items"]
                return items[0] if items else {"cursor": None, "payloads": 0, "state": ""}

            until(lambda: publish(broker, [0], device="p0") or bool(source()["payloads"]))
            publish(broker, range(20))
            server.kill("mill")
            publish(broker, range(20, 60), qos=2)
            broker.stop()
            broker.start()
            publish(broker, range(60, 80))

            def points() -> int:
                answer = server.client.get("/v1/feeds/plant/points", params={"limit": 1000, "device": "p1"})
                return len(answer.json()) if answer.status_code == 200 else 0

            until(lambda: points() >= 80)
            time.sleep(0.5)  # what comes too often comes soon
            assert points() == 80
            assert source()["state"] in ("ok", "empty")
