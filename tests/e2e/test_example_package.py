"""The example package, installed and used by a real server: its decoder, its rule and its source."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server, running_server

EXAMPLE = Path(__file__).parents[2] / "examples" / "tidemill-example"
LINES = b"""at="2026-01-01T00:00:00Z";site="north";level=3.5
at="2026-01-01T00:01:00Z";site="north";level=4.25

at="2026-01-01T00:02:00Z";site="south";level=-1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("levels")


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Server]:
    """A server beside which the example is installed, with the example's feeds."""
    target = tmp_path_factory.mktemp("installed")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        "--no-compile",
    ]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(target), str(EXAMPLE)], check=True)
    paths = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH", "")]))
    env = {"PYTHONPATH": paths, "TIDEMILL_EXAMPLE_FOLDER": str(folder)}
    with running_server(tmp_path_factory.mktemp("plugged") / "data", env=env) as server:
        for file in sorted((EXAMPLE / "feeds").glob("*.toml")):
            answer = server.client.put(f"/v1/feeds/{file.stem}", content=file.read_bytes())
            assert answer.status_code == 201, answer.text
        yield server


def send(server: Server, feed: str, body: bytes, content_type: str) -> tuple[int, dict[str, Any]]:
    answer = server.client.post(f"/v1/feeds/{feed}", content=body, headers={"Content-Type": content_type})
    return answer.status_code, answer.json()


def test_its_decoder_reads_payloads_and_the_feed_judges_them(plugged: Server) -> None:
    status, problem = send(plugged, "tanks", LINES, "text/x-key-value")
    assert status == 400
    assert [(e["path"], e["code"]) for e in problem["errors"]] == [("$[2].level", "out_of_range")]
    status, receipt = send(plugged, "tanks", b"\n".join(LINES.split(b"\n")[:2]), "application/octet-stream")
    assert status == 202
    outcome = plugged.wait_applied(receipt["id"])
    assert (outcome["accepted"], outcome["rejected"]) == (2, 0)
    points = plugged.client.get("/v1/feeds/tanks/points?site=north").json()
    assert [point["value"] for point in points] == [3.5, 4.25]


@pytest.mark.parametrize("body", [b"level", b'a="1', b"\xff", b"a=1;a=2", b"level=high"])
def test_what_its_decoder_cannot_read_is_refused(plugged: Server, body: bytes) -> None:
    status, problem = send(plugged, "tanks", body, "text/x-key-value")
    assert (status, [e["code"] for e in problem["errors"]]) == (400, ["undecodable"])
    assert send(plugged, "tanks", b"{}", "application/json")[0] == 415


def test_its_rule_rejects_with_its_reason(plugged: Server) -> None:
    body = b'[{"at": "2026-01-01T00:00:00Z", "meter": "m1", "energy": 1.75},'
    body += b' {"at": "2026-01-01T00:15:00Z", "meter": "m1", "energy": 1.8}]'
    _, receipt = send(plugged, "counters", body, "application/json")
    outcome = plugged.wait_applied(receipt["id"])
    assert (outcome["accepted"], outcome["rejected"]) == (1, 1)
    [item] = plugged.client.get("/v1/rejections?feed=counters").json()["items"]
    assert item["reasons"] == ["off_step"]
    assert "energy is not a whole multiple of 0.25" in item["detail"]


def test_its_source_is_polled_and_all_three_work_together(plugged: Server, folder: Path) -> None:
    for name, body in (("1.txt", LINES), ("2.txt", b"nonsense"), ("3.txt", LINES.replace(b"2026", b"2025"))):
        (folder / f".{name}").write_bytes(body)
    for name in ("1.txt", "2.txt", "3.txt"):
        (folder / f".{name}").rename(folder / name)
    summary: dict[str, object] = {}
    points: list[dict[str, object]] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (len(points) == 4 and summary.get("total") == 3):
        time.sleep(0.05)
        points = plugged.client.get("/v1/feeds/dropbox/points").json()
        summary = plugged.client.get("/v1/rejections/summary?feed=dropbox").json()
    assert [point["value"] for point in points] == [3.5, -1.0, 3.5, -1.0]
    assert summary["by_reason"] == {"between_marks": 2, "undecodable": 1}
    [item] = plugged.client.get("/v1/rejections?feed=dropbox&reason=undecodable").json()["items"]
    assert (item["record"], item["detail"]) == (
        "nonsense",
        "$: line 1, column 1: here should be key=value; or the end of the line",
    )
