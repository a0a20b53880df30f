"""Which format a body is taken for, and feeds whose definition cannot be read now."""

from pathlib import Path

import pytest

from tests.api.samples import problem
from tests.support.api import running_api

BINARY = """
name = "packed"
input = { formats = ["binary"], layout.record_bytes = 6 }
time = { at = 0, type = "uint32_be", format = "unix_s" }
fields.level = { at = 4, type = "int16_be" }
"""
UNREADABLE = """
name = "gone"
input.formats = ["their-format"]
time.path = "$.at"
fields.level.path = "$.level"
"""


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "application/json", "image/png"])
def test_a_feed_of_binary_records_takes_any_content_type(tmp_path: Path, kind: str | None) -> None:
    with running_api(tmp_path) as api:
        api.services.texts.apply("default", "packed", BINARY)
        headers = {} if kind is None else {"Content-Type": kind}
        assert api.client.post("/v1/feeds/packed", content=b"\0\0\0\1\0\2", headers=headers).status_code == 202
        refused = problem(api.client.post("/v1/feeds/packed", content=b"{}", headers=headers), 400, "invalid")
        assert [error["code"] for error in refused["errors"]] == ["wrong_size"]
        kept = api.client.get(f"/v1/receipts/{refused['receipt']}/payload")
        assert (kept.content, kept.headers["content-type"]) == (b"{}", "application/octet-stream")


def test_a_feed_that_cannot_be_read_now_is_nobody_elses_trouble(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        api.services.texts.apply("default", "gone", UNREADABLE)
        answer = api.client.post("/v1/feeds/gone", json={"at": "2026-01-01T00:00:00Z", "level": 1})
        assert "unknown format 'their-format'" in problem(answer, 503, "unavailable")["detail"]
        assert int(answer.headers["retry-after"]) == 60
        assert "gone" not in [feed["name"] for feed in api.client.get("/v1/feeds").json()["items"]]
        assert api.client.get("/").status_code == 200
