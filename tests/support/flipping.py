"""Builds a data folder with data of every feed, queries it, and flips a bit in a copy of it, for the tests that no
flipped bit gives a wrong answer."""

import contextlib
import json
import random
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.server import Server, running_server

PAYLOADS = 60  # of each feed
_CURSOR = re.compile(r'"next":"[^"]*"')
# Files without data that any question reads, or that a start makes anew.
_LEFT_OUT = ("serve.lock", "mill.lock", "log.lock", "engine.lock", "log.sqlite-shm", "catalog.sqlite-shm")


def requests_of(number: int) -> dict[str, tuple[str, str, Any]]:
    """By feed: method, path and body of the payload with this number; some of their records are rejected."""
    second, minute = number % 60, number // 60
    moment = f"2026-01-01T{minute:02}:{second:02}:00"
    fix = {"timestamp": moment.replace("T", " "), "lat": 40.7, "long": -73.9, "accuracy": 11.3, "speed": number / 8}
    fix |= {"user_id": f"a{number % 3}"} | ({"long": 999.0} if number % 9 == 0 else {})
    reading = {"measurement": "energy", "tags": {"muid": "m1", "quality": "measured"}, "0100011D00FF": number / 16}
    raw = [0, 0, number % 128, 66]
    age = 9_999 if number % 5 == 0 else 0
    tags = ["system"] if number % 7 == 0 else []
    return {
        "dropzone": (
            "POST", "/v1/feeds/dropzone", {"time_stamp": f"{moment}-04:00", "data": [1.0, 2.0 + number] + [5] * number},
        ),
        "location": ("PUT", "/location", fix),
        "signals": (
            "POST", "/v1/series", {"name": f"pump {number}", "start": f"{moment}Z", "interval": "1s",
                                   "values": [number, 2.5, -1.0] * 40},
        ),
        "telemetry": (
            "POST", "/v1/feeds/telemetry", [{"time": int(time.time()) - age, "value": raw, "tags": tags}],
        ),
        "meters": ("POST", "/v1/feeds/meters", {"data": [reading | {"timestamp": f"{moment}.000Z"}]}),
    }  # fmt: skip


def send(client: httpx.Client, numbers: range) -> list[httpx.Response]:
    """One payload of every feed for each number."""
    at_once = {"Prefer": "wait=0"}  # a new series is answered when it can be read, as long as that takes
    return [
        client.request(method, path, json=body, headers=at_once)
        for number in numbers
        for method, path, body in requests_of(number).values()
    ]


def caught_up(client: httpx.Client, timeout_s: float) -> bool:
    """Whether the mill applies all of the log within `timeout_s` seconds; false at once where damage prevents that."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
            state = client.get("/readyz").json()
            mill = state["mill"]
            if mill["lag"] == 0 and state["store"]["up"] and mill["state"] == "idle":
                return True
            if not state["ready"] or ("damaged" in mill["last_error"] and not mill["recovered"] and mill["lag"] > 0):
                return False
        time.sleep(0.05)
    return False


@dataclass
class Folder:
    """A data folder at rest; its `answers` while it is whole, and `behind`: those while its newest payloads are not
    applied yet."""

    path: Path
    questions: list[str]
    behind: dict[str, tuple[int, str]]
    answers: dict[str, tuple[int, str]]

    def files(self) -> list[Path]:
        """The files in which a bit can be flipped, relative to the folder, in order."""
        paths = (path for path in self.path.rglob("*") if path.is_file() and path.stat().st_size > 0)
        kept = (path for path in paths if path.name not in _LEFT_OUT and not path.is_symlink())
        return sorted(path.relative_to(self.path) for path in kept)

    def flipped(self, to: Path, chance: random.Random) -> tuple[Path, int, int]:
        """Copy the folder and flip a bit of the copy. Every other time any kind of file is as likely as any other, so
        that small files have their turn; else any byte is. Returns where."""
        shutil.copytree(self.path, to, symlinks=True)
        files = self.files()
        kinds: dict[str, list[Path]] = {}
        for path in files:
            kinds.setdefault(_kind(path), []).append(path)
        if chance.random() < 0.5:
            file = chance.choice(kinds[chance.choice(sorted(kinds))])
        else:
            [file] = chance.choices(files, [(to / path).stat().st_size for path in files])
        content = bytearray((to / file).read_bytes())
        byte, bit = chance.randrange(len(content)), chance.randrange(8)
        content[byte] ^= 1 << bit
        (to / file).write_bytes(content)
        return file, byte, bit


def _kind(file: Path) -> str:
    """Files of parts are kinds by their name, whatever the table, and what tables there are is one kind; any other file
    is a kind by itself."""
    if file.suffix == ".sql":
        return "tables"
    return f"part/{file.name}" if len(file.parts) > 5 and file.parts[0] == "store" else str(file)


def build_folder(folder: Path) -> Folder:
    """Fill a server, end it as a power cut would, and record the answers of a copy of its folder."""
    with running_server(folder) as server:
        mill = server.part("mill")
        mill.suspend()  # one batch instead of dozens: few parts, which all count
        taken = send(server.client, range(PAYLOADS))
        mill.resume()
        assert caught_up(server.client, 60)
    with running_server(folder) as server:
        assert caught_up(server.client, 60)
        server.part("mill").suspend()
        taken += send(server.client, range(PAYLOADS, PAYLOADS + 4))
        series = [item["id"] for item in server.client.get("/v1/series", params={"limit": 8}).json()["items"]]
        questions = _questions([_receipt(answer) for answer in taken], series)
        behind = {question: answer_to(server.client, question) for question in questions}
        go_dark(server)
    built = Folder(folder, questions, behind, {})
    copy = folder.with_name("whole")
    shutil.copytree(folder, copy, symlinks=True)
    with running_server(copy) as server:
        assert caught_up(server.client, 60)
        built.answers |= {question: answer_to(server.client, question) for question in questions}
    refused = {question: text for question, (status, text) in built.answers.items() if status != 200}
    assert not refused, refused
    return built


def answer_to(client: httpx.Client, question: str) -> tuple[int, str]:
    """(status, body and strong ETag) of an answer, without what differs each time: the cursors, and the weak tags, that
    are of one run of a server."""
    answer = client.get(question)
    tag = answer.headers.get("etag", "")
    return answer.status_code, _CURSOR.sub('"next":', answer.text) + ("" if tag.startswith("W/") else tag)


def is_between(answer: tuple[int, str], before: tuple[int, str], after: tuple[int, str]) -> bool:
    """Whether an answer can be that of a server that has applied some of the newest payloads: what is the same `before`
    any of them is applied and `after` all are, is as it is there."""
    if answer in (before, after):
        return True
    try:
        texts = [json.loads(text) for status, text in (answer, before, after) if status == 200]
    except ValueError:
        return False
    return len(texts) == 3 and _value_is_between(*texts)


def _value_is_between(answer: Any, before: Any, after: Any) -> bool:
    if before == after or type(before) is not type(after):
        return bool(answer == before or before != after)
    if isinstance(before, dict):
        both = before.keys() & after.keys()
        return isinstance(answer, dict) and all(
            key in answer and _value_is_between(answer[key], before[key], after[key]) for key in both
        )
    if isinstance(before, list):
        return isinstance(answer, list) and all(item in answer for item in before if item in after)
    if isinstance(before, int | float):
        return isinstance(answer, int | float) and min(before, after) <= answer <= max(before, after)
    return isinstance(answer, str)


def _questions(receipts: list[str], series: list[str]) -> list[str]:
    day = "start=2026-01-01T00:00:00Z&end=2026-01-03T00:00:00Z"
    instant = "2026-01-01T00:00:00Z"
    return [
        f"/v1/feeds/dropzone/rows?{day}&limit=500",
        f"/v1/feeds/location/rollups?user_id=a1&{day}",
        "/v1/feeds/telemetry/points",
        "/meterdata/measurement?muid=m1&measurement=energy&limit=500&start=2026-01-01&stop=2026-01-03",
        "/v1/rejections?limit=500",
        "/v1/rejections/summary",
        "/v1/series?limit=500",
        "/v1/series/count",
        "/v1/changes?limit=500",
        *(f"/v1/series/{name}/points?{day}" for name in series),
        *(f"/v1/series/{name}/points?{day}&every=15m&agg=mean,max" for name in series[:3]),
        *(f"/v1/why?series={name}&time={instant}" for name in series[:3]),
        *(f"/v1/receipts/{name}" for name in receipts[::23]),
        *(f"/v1/receipts/{name}/payload" for name in receipts[::17]),
    ]


def _receipt(answer: httpx.Response) -> str:
    document = answer.json()
    receipt = document.get("receipt", document)
    return str(receipt["id"] if isinstance(receipt, dict) else receipt)


def go_dark(server: Server) -> None:
    """End a server as a power cut would."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    server.process.kill()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    server.process.wait()
    psutil.wait_procs(children, timeout=10)


def problem(text: str) -> dict[str, Any]:
    """A problem document, or {}."""
    with contextlib.suppress(ValueError):
        document = json.loads(text)
        if isinstance(document, dict) and "code" in document:
            return document
    return {}
