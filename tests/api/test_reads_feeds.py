"""Feeds in their own shapes over HTTP: rows with lineage, points, rollups."""

import time

from tests.api.samples import problem
from tests.support.api import Api

WAIT = {"Prefer": "wait=10"}


def send(api: Api, feed: str, body: object) -> str:
    answer = api.client.post(f"/v1/feeds/{feed}", json=body, headers=WAIT)
    assert (answer.status_code, answer.json()["state"]) == (200, "applied"), answer.text
    return str(answer.json()["id"])


def test_a_row_and_the_row_it_replaced(whole: Api) -> None:
    first = send(whole, "dropzone", {"time_stamp": "2011-05-01T06:00:00-04:00", "data": [1, 2]})
    second = send(whole, "dropzone", {"time_stamp": "2011-05-01T12:00:00+02:00", "data": [4]})
    answer = whole.client.get("/v1/feeds/dropzone/rows", params={"start": "2011-05-01", "end": "2011-05-02"})
    assert answer.json() == [
        {
            "time": "2011-05-01T10:00:00Z",
            "mean": 4.0,
            "stddev": None,
            "stddev_pop": 0.0,
            "count": 1,
            "receipt": second,
        }
    ]
    lineage = whole.client.get("/v1/feeds/dropzone/rows/2011-05-01T10:00:00Z/lineage").json()
    assert (lineage["receipt"], lineage["index"], lineage["rules"]["feed"]) == (second, 0, "dropzone")
    assert lineage["row"] == answer.json()[0]
    assert whole.client.get(lineage["links"]["payload"]).status_code == 200
    (old,) = lineage["replaced"]
    assert (old["mean"], old["count"], old["receipt"], old["replaced_by"]) == (1.5, 2, first, second)
    assert whole.client.get(old["payload"]).json()["data"] == [1, 2]
    problem(whole.client.get("/v1/feeds/dropzone/rows/2011-05-01T10:00:01Z/lineage"), 404, "not_found")


def test_every_submission_of_a_row_is_in_its_lineage(whole: Api) -> None:
    body = {"time_stamp": "2011-06-01T06:00:00Z", "data": [1, 2]}
    sent = [send(whole, "dropzone", body) for _ in range(3)]
    sent.append(send(whole, "dropzone", body | {"data": [1, 3]}))
    lineage = whole.client.get("/v1/feeds/dropzone/rows/2011-06-01T06:00:00Z/lineage").json()
    assert lineage["receipt"] == sent[3]
    assert [old["receipt"] for old in lineage["replaced"]] == sent[2::-1]
    assert [old["replaced_by"] for old in lineage["replaced"]] == sent[:0:-1]
    assert {(old["mean"], old["stddev_pop"], old["count"]) for old in lineage["replaced"]} == {(1.5, 0.5, 2)}
    definition = whole.client.get(lineage["rules"]["definition"]).json()
    assert (definition["name"], definition["version"]) == ("dropzone", lineage["rules"]["version"])


def test_rows_are_paged_by_a_link(whole: Api) -> None:
    for minute in range(3):
        send(whole, "dropzone", {"time_stamp": f"2012-01-01T00:0{minute}:00Z", "data": [minute]})
    url = "/v1/feeds/dropzone/rows?start=2012-01-01&end=2012-01-02&limit=2&order=desc"
    first = whole.client.get(url)
    second = whole.client.get(first.links["next"]["url"])
    assert [row["mean"] for row in first.json() + second.json()] == [2.0, 1.0, 0.0]
    assert "next" not in second.links


def test_points_are_exactly_time_and_value(whole: Api) -> None:
    now = int(time.time())
    send(whole, "telemetry", [{"time": now, "value": [0, 0, 192, 63], "tags": []}] * 2)
    given = {"start": str(now), "end": str(now + 1), "unit": "s"}
    points = whole.client.get("/v1/feeds/telemetry/points", params=given).json()
    assert len(points) >= 2
    assert all(list(point) == ["time", "value"] for point in points)
    assert [point["value"] for point in points].count(1.5) >= 2
    first = whole.client.get("/v1/feeds/telemetry/points", params=given | {"limit": "1"})
    assert len(first.json()) == 1
    assert len(whole.client.get(first.links["next"]["url"]).json()) == 1


def test_rollups_are_minutes_of_a_user(whole: Api) -> None:
    fix = {"lat": 40.5, "long": -73.5, "accuracy": 10, "speed": 1, "user_id": "rolled"}
    for second, speed in ((12, 1), (40, 3)):
        body = fix | {"timestamp": f"2017-01-01T13:05:{second}-05:00", "speed": speed}
        assert whole.client.put("/location", json=body, headers=WAIT).status_code == 200
    windows = whole.client.get("/v1/feeds/location/rollups", params={"user_id": "rolled"}).json()
    assert windows == [
        {
            "minute": "2017-01-01T18:05:00Z",
            "user_id": "rolled",
            "lat": 40.5,
            "long": -73.5,
            "accuracy": 10.0,
            "speed": 2.0,
            "count": 2,
        }
    ]


def test_unknown_feeds_and_other_shapes(whole: Api) -> None:
    for shape in ("points", "rows", "rollups"):
        problem(whole.client.get(f"/v1/feeds/nothing/{shape}"), 404, "not_found")
    for path in ("telemetry/rows", "dropzone/points", "dropzone/rollups", "signals/points"):
        document = problem(whole.client.get(f"/v1/feeds/{path}"), 400, "invalid")
        assert "its data is at /v1/" in document["detail"]
    problem(whole.client.get("/v1/feeds/location/rollups?usr_id=a"), 400, "invalid")
