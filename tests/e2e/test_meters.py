"""Contract 5: fetch meter data window by window, answer the same request in the same shape."""

import subprocess
import sys
import time

import httpx

from tests.support.server import Server

HOUSEHOLD = "0c5d4ad6-6cbf-4a52-9a43-6f0d6b1a9d11"
SOLAR = "7f2f9f0e-35a1-4f0e-9f0b-2f6f0d1c8a22"


def month(url: str, muid: str) -> list[dict[str, object]]:
    params = {"muid": muid, "measurement": "energy", "limit": 5000, "start": "2023-02-01", "stop": "2023-03-01"}
    params["order"] = "asc"  # which the simulated source always does
    answer = httpx.get(f"{url}/meterdata/measurement", params=params, trust_env=False, timeout=10)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["data"]
    return found


def test_what_the_source_has_is_what_we_answer(server: Server, sources: dict[str, int]) -> None:
    simulator = subprocess.Popen(
        [sys.executable, "-m", "tidemill.cli", "simulate", "meters", "--port", str(sources["meters"])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(month(server.url, SOLAR)) == len(month(server.url, HOUSEHOLD)) == 28 * 96:
                break
            time.sleep(0.3)
        for muid in (HOUSEHOLD, SOLAR):
            assert month(server.url, muid) == month(f"http://127.0.0.1:{sources['meters']}", muid)
        registers = {key for record in month(server.url, SOLAR) for key in record}
        assert "0100021D00FF" in registers
    finally:
        simulator.terminate()
        simulator.wait(10)


def test_a_measured_reading_replaces_the_estimated_one(server: Server) -> None:
    muid = "5d1f9c1e-2f4b-4c55-8a3e-1b6a7d0e9f33"

    def record(value: float, quality: str) -> dict[str, object]:
        return {
            "measurement": "energy",
            "timestamp": "2023-02-01T00:15:00.000Z",
            "tags": {"muid": muid, "quality": quality},
            "0100011D00FF": value,
        }

    def post(*records: dict[str, object]) -> None:
        answer = httpx.post(
            f"{server.url}/v1/feeds/meters",
            json={"data": records},
            headers={"Prefer": "wait=10"},
            trust_env=False,
            timeout=20,
        )
        assert (answer.status_code, answer.json()["accepted"]) == (200, len(records)), answer.text

    post(record(0.5, "estimated"))
    assert month(server.url, muid) == [record(0.5, "estimated")]
    post(record(0.75, "measured"))
    assert month(server.url, muid) == [record(0.75, "measured")], "one record, the new value, the new quality"
    post(record(0.75, "validated"))
    assert month(server.url, muid) == [record(0.75, "validated")], "the same value again, of another quality"
    post(record(0.8, "estimated"), record(0.9, "corrected"))
    assert month(server.url, muid) == [record(0.9, "corrected")], "of one payload the last record"
    found = httpx.get(f"{server.url}/v1/series", params={"feed": "meters", "tag.muid": muid}, trust_env=False)
    [series] = found.json()["items"]
    assert series["tags"] == {"measurement": "energy", "muid": muid}
    assert series["count"] == 1
