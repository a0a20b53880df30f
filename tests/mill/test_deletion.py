"""A deleted series is gone at once, may come back, and its points leave the disk."""

import polars as pl

from tests.mill.house import House
from tests.mill.test_worker import fix
from tidemill.mill import rollups
from tidemill.model.deletion import Deletion
from tidemill.store.client import Store
from tidemill.store.queries import query


def alive(house: House) -> dict[int, float | None]:
    """time -> value of the points that answers show."""
    deleted = {row["series"]: row["deleted_seq"] for row in house.all("series")}
    return {row["time"]: row["value"] for row in house.all("points") if row["seq"] > deleted[row["series"]]}


def send(house: House, values: list[float]) -> None:
    house.send("signals", {"name": "pump", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": values})


def the_series(house: House, field: str = "value") -> int:
    [series] = [row["series"] for row in house.all("series") if row["field"] == field]
    return int(series)


def test_a_deleted_series_is_marked_and_purged(house: House) -> None:
    send(house, [1.0, 2.0])
    house.work()
    house.delete(the_series(house))
    house.work()
    assert alive(house) == {}
    assert [row["deleted"] for row in house.all("series")] == [True]
    house.mill._retention.run_due()
    assert house.all("points") == []
    data, deletion = house.all("payloads")
    assert (data["state"], data["body"], data["accepted"], deletion["state"]) == ("deleted", "", 1 + 1, "applied")


def test_sent_again_it_is_back_with_only_what_is_new(house: House) -> None:
    send(house, [1.0, 2.0, 3.0])
    house.work()
    house.delete(the_series(house))
    send(house, [4.0])
    house.work()
    assert list(alive(house).values()) == [4.0]
    assert [row["deleted"] for row in house.all("series")] == [False]
    assert house.all("replaced") == [], "a deleted value is not replaced"
    house.mill._retention.run_due()
    assert [row["value"] for row in house.all("points")] == [4.0]


def test_data_deletion_and_data_again_in_one_batch(house: House) -> None:
    send(house, [1.0, 2.0])
    house.work()
    series = the_series(house)
    house.delete(series)
    send(house, [5.0, 6.0])
    house.delete(series)
    send(house, [7.0])
    house.work()
    assert house.mill.status.batches == 2
    assert list(alive(house).values()) == [7.0]


def test_where_the_first_wins_a_deleted_point_does_not(house: House) -> None:
    house.send("location", fix(12, speed=1.0))
    house.work()
    house.ask(Deletion(kind="feed", feed="location"))
    house.send("location", fix(12, speed=2.0))
    house.work()
    assert 2.0 in alive(house).values()
    assert 1.0 not in alive(house).values()
    assert house.all("rejections") == []
    assert sorted(row["mean"] for row in house.all("rollups"))[1] == 2.0


def test_rollups_go_with_their_series(house: House) -> None:
    house.send("location", fix(12))
    house.work()
    house.ask(Deletion(kind="feed", feed="location"))
    house.work()
    assert house.all("rollups") == []


def test_a_deleted_series_is_sealed_no_more_whether_merged_or_not(house: House) -> None:
    house.send("location", fix(12))
    house.work()
    rows = house.all("rollups")
    windows = pl.DataFrame({"series": [row["series"] for row in rows], "window": [row["window"] for row in rows]})
    windows = windows.cast({"series": pl.UInt64, "window": pl.Int64})
    context = house.mill.context
    rollups.recompute_windows(
        house.store,
        context.known,
        tenant=house.tenant,
        every=60 * 10**9,
        windows=windows,
        version=context.versions.next(),
        sealed_seq=1,
    )

    def sealed() -> tuple[int, int]:
        keys = {"tenant": house.tenant, "series": windows["series"]}
        exact = house.store.rows("mill_sealed", every_s=60, windows=windows["window"], **keys)
        return len(exact), len(house.store.rows("mill_sealed_until", **keys))

    assert sealed() == (4, 4)
    house.ask(Deletion(kind="feed", feed="location"))
    house.work()
    before = sealed()
    merging = Store(house.store.address, queries={"merge": query("merge", "OPTIMIZE TABLE rollups FINAL")})
    merging.command("merge")
    merging.close()
    assert before == sealed() == (0, 0)


def test_deleting_what_is_not_there_is_harmless(house: House) -> None:
    house.delete(4711)
    house.work()
    assert house.all("series") == []
    assert [(row["accepted"], row["rejected"]) for row in house.all("payloads")] == [(0, 0)]


def test_replay_over_a_deletion_changes_nothing(house: House) -> None:
    for speed in (1.0, 9.0):
        house.send("location", fix(12, speed=speed))
    house.work()
    house.ask(Deletion(kind="feed", feed="location"))
    for speed in (2.0, 8.0):
        house.send("location", fix(12, speed=speed))
    house.work()
    house.mill._retention.run_due()
    before = house.everything()
    (house.folder / "mill" / "position").unlink()
    house.new_mill()
    house.apply([[entry] for entry in house.entries()])
    assert house.everything() == before
    rows = house.store.rows("all_rejections", tenant=house.tenant)
    assert [(row["seq"], row["winner_seq"]) for row in rows] == [(5, 4)]
