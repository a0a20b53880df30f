"""Bodies and small helpers that several test modules use."""

import itertools
import json
from typing import Any

import httpx

_instants = itertools.count()


def fix(**fields: Any) -> dict[str, Any]:
    """A fix of a phone at an instant of its own."""
    n = next(_instants)
    stamp = f"2017-01-01 {n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}"
    base = {"timestamp": stamp, "lat": 40.7, "long": -73.9, "accuracy": 11.3, "speed": 1.4, "user_id": "a1"}
    return base | fields


def row(**fields: Any) -> dict[str, Any]:
    """A record of the dropzone at an instant of its own."""
    n = next(_instants)
    return {"time_stamp": f"2019-05-{1 + n // 86400:02d}T{n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"} | (
        {"data": [1, 2.5, 3]} | fields
    )


def body(record: Any) -> bytes:
    return json.dumps(record).encode()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is the problem document that it should be, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (document["status"], document["code"]) == (status, code), document
    assert document["type"] == f"/docs/problems#{code}"
    assert document["title"] and document["detail"]
    assert isinstance(document["errors"], list)
    for fault in document["errors"]:
        assert set(fault) == {"path", "code", "message"}
    return document
