"""Contract 4: phones send one fix at a time."""

import itertools
import json
import random
from collections.abc import Callable

from tests.support.server import Server

Curl = Callable[..., tuple[int, str]]
NEW_YORK = {"lat": 40.701, "long": -73.916}


def fix(user: str, timestamp: str, **fields: object) -> dict[str, object]:
    return {"timestamp": timestamp, **NEW_YORK, "accuracy": 11.3, "speed": 1.4, "user_id": user, **fields}


def put(server: Server, record: dict[str, object], wait: int = 10) -> dict[str, object]:
    answer = server.client.put("/location", json=record, headers={"Prefer": f"wait={wait}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def flags(server: Server, user: str) -> list[list[str]]:
    """The flags of every point of a user, over all series."""
    series = server.client.get(f"/v1/series?feed=location&tag.user_id={user}").json()["items"]
    pages = [server.client.get(f"/v1/series/{one['id']}/points").json() for one in series]
    return [item["flags"] for page in pages for item in page["items"]]


def minutes(server: Server, user: str) -> list[dict[str, object]]:
    answer = server.client.get("/v1/feeds/location/rollups", params={"user_id": user})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_curl_of_the_contract_works_as_typed(server: Server, curl: Curl) -> None:
    status, body = curl("-X", "PUT", "-d", json.dumps(fix("curl", "2017-01-01 13:05:12")), "/location")
    assert status == 200
    server.wait_applied(json.loads(body)["id"])
    (row,) = minutes(server, "curl")
    assert row["minute"] == "2017-01-01T18:05:00Z"  # New York in winter is UTC-5
    assert (row["user_id"], row["count"], row["lat"], row["speed"]) == ("curl", 1, 40.701, 1.4)


def test_the_first_submitted_counts_and_the_others_are_in_the_ledger(server: Server) -> None:
    first = put(server, fix("dup", "2017-01-01 13:05:12", speed=1))
    second = put(server, fix("dup", "2017-01-01 13:05:12", speed=9))
    assert (first["accepted"], second["accepted"], second["reasons"]) == (1, 0, {"duplicate": 1})
    (row,) = minutes(server, "dup")
    assert (row["count"], row["speed"]) == (1, 1)
    (item,) = server.client.get("/v1/rejections", params={"receipt": second["id"]}).json()["items"]
    assert item["reasons"] == ["duplicate"]
    assert item["record"]["speed"] == 9
    assert item["winner"]["receipt"] == first["id"]


def test_the_average_is_right_whatever_the_order_of_arrival(server: Server) -> None:
    speeds = [1.0, 2.0, 3.0, 4.0, 10.0]
    for name, order in (("early", range(5)), ("late", (4, 2, 0, 3, 1))):
        for n in order:
            put(server, fix(f"order-{name}", f"2017-01-01 13:05:{n:02d}", speed=speeds[n]), wait=0)
    last = put(server, fix("order-done", "2017-01-01 13:05:00"))
    assert last["state"] == "applied"
    for name in ("early", "late"):
        (row,) = minutes(server, f"order-{name}")
        assert (row["count"], row["speed"]) == (5, 4.0)


def test_a_late_record_changes_its_minute(server: Server) -> None:
    put(server, fix("late", "2017-01-01 13:05:10", speed=2))
    put(server, fix("late", "2017-01-01 13:06:10", speed=5))
    put(server, fix("late", "2017-01-01 13:05:20", speed=4))
    assert [(row["speed"], row["count"]) for row in minutes(server, "late")] == [(3, 2), (5, 1)]


def test_zones_come_from_the_position(server: Server) -> None:
    cases = {
        "zurich": (fix("z1", "2017-07-01 12:00:00", lat=47.37, long=8.54), "2017-07-01T10:00:00Z"),
        "sea": (fix("z2", "2017-07-01 12:00:00", lat=40.0, long=-40.0), "2017-07-01T15:00:00Z"),
        "fractions": (fix("z3", "2017-01-01 13:05:59.999"), "2017-01-01T18:05:00Z"),
        "offset wins": (fix("z4", "2017-01-01T13:05:12+02:00"), "2017-01-01T11:05:00Z"),
        "fold": (fix("z5", "2017-11-05 01:30:00"), "2017-11-05T05:30:00Z"),  # the earlier, UTC-4
    }
    for name, (record, minute) in cases.items():
        put(server, record)
        assert [row["minute"] for row in minutes(server, str(record["user_id"]))] == [minute], name
    assert flags(server, "z5") == [["fold_earlier"]] * 4, "a point says that its local time was twice"
    assert flags(server, "z3") == [[]] * 4


def test_a_local_time_that_never_was_is_rejected(server: Server) -> None:
    answer = server.client.put("/location", json=fix("gap", "2017-03-12 02:30:00"))
    assert answer.status_code == 400
    assert [(fault["path"], fault["code"]) for fault in answer.json()["errors"]] == [("$.timestamp", "dst_gap")]
    put(server, fix("gap", "2017-03-12 03:30:00"))
    put(server, fix("gap", "2017-03-12 02:30:00-05:00"))
    assert [row["minute"] for row in minutes(server, "gap")] == ["2017-03-12T07:30:00Z"]
    (row,) = server.client.get(f"/v1/rejections?receipt={answer.json()['receipt']}").json()["items"]
    assert row["reasons"] == ["dst_gap"]


def test_malformed_names_every_fault(server: Server) -> None:
    body = b'{"timestamp": "yesterday", "lat": 91, "long": "west", "accuracy": -1, "speed": 1e999}'
    answer = server.client.put("/location", content=body)
    assert answer.status_code == 400
    faults = {e["path"]: e["code"] for e in answer.json()["errors"]}
    assert faults == {
        "$.timestamp": "time_invalid",
        "$.lat": "out_of_range",
        "$.long": "wrong_type",
        "$.accuracy": "out_of_range",
        "$.speed": "not_finite",
        "$.user_id": "missing",
    }


def test_random_traffic_adds_up(server: Server) -> None:
    """Shuffled fixes with duplicates: the averages are those of the first submitted of each instant."""
    choose = random.Random(7)
    records = [fix("sum", f"2017-02-01 10:{m:02d}:{s:02d}", speed=float(m + s)) for m in range(3) for s in range(20)]
    sent = records + [dict(r, speed=99.0) for r in choose.sample(records, 15)]
    choose.shuffle(sent)
    last = {}
    for record in sent:
        last = server.client.put("/location", json=record).json()
    server.wait_applied(last["id"])
    expected: dict[str, list[float]] = {}
    seen = set()
    for record in sent:
        if record["timestamp"] not in seen:
            seen.add(record["timestamp"])
            expected.setdefault(str(record["timestamp"])[:16], []).append(float(str(record["speed"])))
    rows = minutes(server, "sum")
    assert [row["count"] for row in rows] == [20, 20, 20]
    for row, speeds in itertools.zip_longest(rows, (expected[m] for m in sorted(expected))):
        assert abs(row["speed"] - sum(speeds) / len(speeds)) < 1e-9
