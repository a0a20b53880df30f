"""Rules of action `refuse`: answered at once, kept with their reasons."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.samples import problem, row
from tests.support.api import SECRET, Api

FEED = "refusing"
TEXT = f"""name = "{FEED}"
[time]
path = "$.t"
format = "unix_s"
[fields.bar]
path = "$.bar"
[[rules]]
check = "range"
reason = "burst"
action = "ACTION"
options = {{ field = "bar", max = 10 }}
[[rules]]
check = "max_future"
action = "ACTION"
options = {{ max_future = "1m" }}
"""
NOW = int(time.time())
AHEAD = 86_400  # in the future however long after its import a test runs
WAIT = {"Prefer": "wait=30"}


def text(action: str = "refuse") -> str:
    return TEXT.replace("ACTION", action)


@pytest.fixture(scope="module")
def house(whole: Api) -> Iterator[Api]:
    assert whole.client.put(f"/v1/feeds/{FEED}", content=text()).status_code == 201
    yield whole


def record(second: int, **other: Any) -> dict[str, Any]:
    return {"t": NOW - second, "bar": 1.0} | other


def test_every_broken_record_is_named_and_the_payload_is_kept_with_its_reasons(house: Api) -> None:
    sent = json.dumps([record(1), record(2, bar=11), record(-AHEAD, bar=12)]).encode()
    document = problem(house.client.post(f"/v1/feeds/{FEED}", content=sent), 400, "invalid")
    assert [(fault["path"], fault["code"]) for fault in document["errors"]] == [
        ("$[1]", "burst"),
        ("$[2]", "burst"),
        ("$[2]", "in_future"),
    ]
    assert document["errors"][0]["message"] == "bar is outside the range to 10"
    assert "$[1]: bar is outside the range to 10 (2 more" in document["detail"]
    assert house.client.get(f"/v1/receipts/{document['receipt']}/payload").content == sent
    house.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)  # when this is applied, that is too
    outcome = house.client.get(f"/v1/receipts/{document['receipt']}").json()
    assert (outcome["state"], outcome["accepted"], outcome["rejected"]) == ("refused", 0, 3)
    ledger = house.client.get("/v1/rejections", params={"receipt": document["receipt"]}).json()["items"]
    assert [fault["reasons"] for fault in reversed(ledger)] == [["payload_refused"], ["burst"], ["burst", "in_future"]]


def test_a_single_record_is_named_by_its_path_and_sent_again_corrected(house: Api) -> None:
    key = {"Idempotency-Key": "pump-1"}
    document = problem(house.client.post(f"/v1/feeds/{FEED}", json=record(3, bar=11), headers=key), 400, "invalid")
    assert [fault["path"] for fault in document["errors"]] == ["$"]
    again = house.client.post(f"/v1/feeds/{FEED}", json=record(3, bar=9), headers=key | WAIT)
    assert (again.status_code, again.json()["accepted"]) == (200, 1)


def test_the_contract_speaks_first(house: Api) -> None:
    sent = [record(4, bar="x"), record(5, bar=11)]
    document = problem(house.client.post(f"/v1/feeds/{FEED}", json=sent), 400, "invalid")
    assert [(fault["path"], fault["code"]) for fault in document["errors"]] == [("$[0].bar", "wrong_type")]


def test_what_a_source_brought_is_taken_and_the_record_rejected(house: Api) -> None:
    sent, whose = [record(6), record(7, bar=11)], {"tenant": "default", "feed": FEED}
    headers = {"X-Tidemill-Secret": SECRET}
    taken = house.client.post("/internal/payloads", params=whose, json=sent, headers=headers)
    assert taken.status_code == 202, taken.text
    house.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)
    outcome = house.client.get(f"/v1/receipts/{taken.json()['id']}").json()
    assert (outcome["state"], outcome["accepted"], outcome["rejected"]) == ("applied", 1, 1)


def test_a_rule_refuses_from_the_answer_on_that_made_it_refuse(house: Api) -> None:
    for action, status in (("reject", 202), ("refuse", 400), ("flag", 202), ("refuse", 400)):
        changed = house.client.put(f"/v1/feeds/{FEED}", content=text(action))
        assert changed.status_code == 200
        assert house.client.post(f"/v1/feeds/{FEED}", json=record(8, bar=11)).status_code == status


def test_a_rule_that_fails_itself_loses_nothing(house: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault in a plug-in")

    monkeypatch.setattr("tidemill.rules.refuse.refusals", fail)
    assert house.client.post(f"/v1/feeds/{FEED}", json=record(9, bar=11)).status_code == 202


def test_a_rule_that_needs_the_past_cannot_refuse(house: Api) -> None:
    more = '[[rules]]\ncheck = "monotonic"\naction = "refuse"\noptions = { field = "bar" }\n'
    sent = house.client.put("/v1/feeds/refusing-past", content=text().replace(FEED, "refusing-past") + more)
    (fault,) = problem(sent, 400, "feed_invalid")["errors"]
    assert fault["path"].endswith(": rules.2.action")
    assert "the past" in fault["message"]
