"""What the servers of these tests have received: some of everything, accepted, rejected, replaced."""

import json
from datetime import UTC, datetime, timedelta

from tests.support.server import Server

ROWS = 60
DROPZONE = "/v1/feeds/dropzone"


def send(server: Server, *records: object, headers: dict[str, str] | None = None) -> str:
    """Send records to the dropzone; their receipt, once they are applied."""
    body = "\n".join(json.dumps(record) for record in records)
    kind = {"Content-Type": "application/x-ndjson"}
    answer = server.client.post(DROPZONE, content=body, headers=kind | {"Prefer": "wait=20"} | (headers or {}))
    assert answer.status_code in (200, 201, 202), answer.text
    receipt: str = answer.json()["id"]
    return receipt


def record(minute: int, *values: float) -> dict[str, object]:
    """A record of the dropzone, so many minutes after 06:00 today."""
    at = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=minute)
    return {"time_stamp": at.isoformat(), "data": list(values)}


def send_fix(server: Server, minute: int) -> None:
    """Send where a phone was in a minute of 2017; the second of one minute is rejected as a duplicate."""
    fix = {"lat": 40.701, "long": -73.916, "accuracy": 11.3, "speed": 1.5, "user_id": "a1"}
    body = json.dumps(fix | {"timestamp": f"2017-01-01 13:{minute:02d}:12"})
    answer = server.client.put("/location", content=body, headers={"Prefer": "wait=20"})
    assert answer.status_code < 300, answer.text


def seed(server: Server) -> None:
    """Sends what every test may count on: rows, a replaced row, fixes, a duplicate, and a payload that is refused."""
    send(server, *(record(n, n / 7, n / 5, n / 3) for n in range(ROWS)))
    send(server, record(1, 5.0, 6.0))
    for minute in (0, 1, 2, 3, 3):
        send_fix(server, minute)
    refused = server.client.post(DROPZONE, content='{"time_stamp": "never", "data": [1]}')
    assert refused.status_code == 400, refused.text
