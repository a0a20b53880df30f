"""The server runs with what `requirements.txt` pins: without packages that others name and nothing imports."""

import re
from pathlib import Path

import pytest

from tests.support.server import running_server

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("faker", "polyfactory", "pandas", "pyarrow", "dateutil")
REFUSE = f"""
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {LEFT_OUT!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Absent())
"""


def test_a_server_without_them_takes_applies_and_answers_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(REFUSE)
    with running_server(tmp_path / "data", env={"PYTHONPATH": str(tmp_path)}) as server:
        body = b'{"time_stamp": "2019-05-01T06:00:00-04:00", "data": [1, 2, 3]}'
        sent = server.client.post("/v1/feeds/dropzone", content=body, headers={"Prefer": "wait=20"})
        assert sent.json()["accepted"] == 1, sent.text
        series = server.client.get("/v1/series", params={"feed": "dropzone"}).json()["items"][0]["id"]
        for form in ("json", "ndjson", "csv", "arrow", "parquet"):
            answer = server.client.get(f"/v1/series/{series}/points", params={"format": form})
            assert answer.status_code == 200 and answer.content, answer.text
        assert server.client.get("/openapi.json").status_code == 200
        assert server.client.get("/docs").status_code == 200
        assert (
            server.client.get("/v1/why", params={"feed": "dropzone", "time": "2019-05-01T10:00:00Z"}).status_code < 500
        )


def test_they_are_not_pinned_for_running() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.M))
    assert "polars" in pinned and not pinned & {*LEFT_OUT, "python-dateutil"}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"])
def test_every_pin_has_hashes(file: str) -> None:
    lines = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins and all(re.fullmatch(r"[\w.-]+==\S+(\s+--hash=sha256:[0-9a-f]{64})+", pin) for pin in pins)
