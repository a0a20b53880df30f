"""Verifies at the end of crash tests that everything in a server adds up."""

import json
from typing import Any

import httpx


def verify_report(client: httpx.Client, **query: str) -> dict[str, Any]:
    """The report of `GET /v1/verify`."""
    answer = client.get("/v1/verify", params=query, timeout=60)
    assert answer.status_code == 200, answer.text
    last: dict[str, Any] = json.loads(answer.text.splitlines()[-1])
    assert "report" in last, last
    report: dict[str, Any] = last["report"]
    return report


def prove(client: httpx.Client) -> dict[str, Any]:
    """The report of `GET /v1/verify`, in which everything must add up."""
    report = verify_report(client)
    assert report["adds_up"], report["findings"][:10]
    return report
