"""With the real engine and the real mill: outcomes, series, deletion."""

from tests.api.samples import body, fix, problem, row
from tests.support.api import Api


def test_a_preference_to_wait_is_answered_with_the_outcome(whole: Api) -> None:
    answer = whole.client.post("/v1/feeds/dropzone", json=row(), headers={"Prefer": "wait=10"})
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=10"
    outcome = answer.json()
    assert (outcome["state"], outcome["accepted"], outcome["rejected"]) == ("applied", 1, 0)
    assert whole.client.get(answer.headers["location"]).json() == outcome


def test_a_fix_can_be_waited_for(whole: Api) -> None:
    answer = whole.client.put("/location", json=fix(), headers={"Prefer": "respond-async, wait=10"})
    assert (answer.status_code, answer.json()["state"]) == (200, "applied")


def test_a_replay_of_an_applied_payload_shows_its_outcome(whole: Api) -> None:
    sent = body(row())
    headers = {"Idempotency-Key": "w1", "Prefer": "wait=10"}
    first = whole.client.post("/v1/feeds/dropzone", content=sent, headers=headers)
    again = whole.client.post("/v1/feeds/dropzone", content=sent, headers={"Idempotency-Key": "w1"})
    assert again.status_code == 202
    assert again.json() == first.json()


def test_a_refusal_reaches_the_ledger(whole: Api) -> None:
    sent = body(row(data=[1, "x"]))
    document = problem(whole.client.post("/v1/feeds/dropzone", content=sent), 400, "invalid")
    assert [(e["path"], e["code"]) for e in document["errors"]] == [("$.data[1]", "wrong_type")]
    assert whole.client.get(f"/v1/receipts/{document['receipt']}/payload").content == sent
    whole.client.post("/v1/feeds/dropzone", json=row(), headers={"Prefer": "wait=10"})  # so that it is applied
    outcome = whole.client.get(f"/v1/receipts/{document['receipt']}").json()
    assert (outcome["state"], outcome["rejected"]) == ("refused", 1)


SERIES = {"name": "pump", "unit": "g", "tags": {"site": "north"}, "start": "2026-01-01T00:00:00Z", "interval": "1s"}


def test_a_series_is_created_read_deleted_and_sent_again(whole: Api) -> None:
    client = whole.client
    answer = client.post("/v1/series", json=SERIES | {"values": [1, None, 3]}, headers={"Prefer": "wait=10"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=10"), answer.text
    created = answer.json()
    assert answer.headers["location"] == f"/v1/series/{created['id']}"
    assert (created["start"], created["end"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z")
    assert (created["name"], created["unit"], created["tags"]) == ("pump", "g", {"name": "pump", "site": "north"})
    assert (created["receipt"]["state"], created["receipt"]["accepted"]) == ("applied", 3)
    assert client.get(f"/v1/series/{created['id']}").json()["values"] == [1, None, 3]
    url = f"/v1/series/{created['id']}"
    counted = [created, client.get(url).json(), client.get(f"{url}/metrics").json()]
    counted += client.get("/v1/series", params={"tag.site": "north", "name": "pump"}).json()["items"]
    counted += client.get(f"{url}/points", params={"agg": "count,missing"}).json()["items"]
    counted += client.get(f"{url}/points", params={"every": "1d", "agg": "count,missing"}).json()["items"]
    assert [(item["count"], item["missing"]) for item in counted] == [(2, 1)] * 6, "one meaning everywhere"
    count = client.get("/v1/series/count").json()["count"]

    deleted = client.delete(f"/v1/series/{created['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    problem(client.get(f"/v1/series/{created['id']}"), 404, "not_found")
    problem(client.delete(f"/v1/series/{created['id']}"), 404, "not_found")
    assert client.get("/v1/series/count").json()["count"] == count - 1

    again = client.post("/v1/series", json=SERIES | {"values": [7]}, headers={"Prefer": "wait=10"})
    assert (again.status_code, again.json()["id"]) == (201, created["id"])
    assert client.get(f"/v1/series/{created['id']}").json()["values"] == [7]


def test_series_without_name_and_tags_never_mix_and_a_replay_is_the_same(whole: Api) -> None:
    sent = {"start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1]}
    created, other = (whole.client.post("/v1/series", json=sent).json()["id"] for _ in range(2))
    assert created != other
    key = {"Idempotency-Key": "s1"}
    first, again = (whole.client.post("/v1/series", json=sent, headers=key) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"


def test_a_large_series_is_described_too(whole: Api) -> None:
    answer = whole.client.post("/v1/series", json=SERIES | {"name": "large", "values": [0.25] * 200_000})
    assert answer.status_code in (201, 202)
    assert answer.json()["count"] == 200_000


def test_what_is_no_series_id_is_not_found(whole: Api) -> None:
    for name in ("nope", "0" * 15, "G" * 16, "0" * 16, "%00"):
        problem(whole.client.delete(f"/v1/series/{name}"), 404, "not_found")


def test_ready_shows_the_parts(whole: Api) -> None:
    state = whole.client.get("/readyz").json()
    assert state["ready"] is True
    assert state["store"] == {"up": True, "reason": ""}


def test_a_series_of_records_cannot_be_deleted_by_itself(whole: Api) -> None:
    fix_of = fix(user_id="stays")
    assert whole.client.put("/location", json=fix_of, headers={"Prefer": "wait=10"}).status_code == 200
    url = "/v1/series?feed=location&tag.user_id=stays"
    items = whole.client.get(url).json()["items"]
    assert len(items) == 4
    for item in items:
        document = problem(whole.client.delete(f"/v1/series/{item['id']}"), 409, "not_deletable")
        assert "'location'" in document["detail"]
    assert whole.client.get(url).json()["items"] == items
