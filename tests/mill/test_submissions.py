"""Records of one user with the same local time as it was sent, or with the same instant: the first submitted counts, in
whatever order and batches they are applied. Against an oracle that reads the payloads one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill import plain
from tests.mill.folded import Folded, Killed
from tests.mill.house import EVIDENCE, House
from tests.mill.properties import Make, cut, installed
from tests.mill.test_decide import changes, rows
from tests.support.rounds import rounds
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.book import FeedBook

FEED = """
name = "walks"
duplicates = "first"
duplicates_by = ["time", "local_time"]
[input]
on_fault = "reject"
[time]
path = "$.at"
offset = "optional"
zone_path = "$.zone"
[tags.user_id]
path = "$.user"
[fields.lat]
path = "$.lat"
max = 90
[fields.speed]
path = "$.speed"
required = false
[rollups]
every = "1m"
"""
HOURS = {"America/New_York": 5, "America/Chicago": 6, "America/Denver": 7}  # behind UTC, in January
_UTC_NOON_NS = 1_483_272_000 * 10**9  # 2017-01-01T12:00:00Z
Sent = dict[str, Any]


def sent(*, hour: int, second: int, zone: str, user: str, lat: float, speed: float | None, offset: bool) -> Sent:
    """A record at some local time; with an offset its time is an instant, and has no local time to compare."""
    written = f"2017-01-01 {hour:02d}:00:{second:02d}" + (f"-0{HOURS[zone]}:00" if offset else "")
    return {"at": written, "zone": zone, "user": user, "lat": lat} | ({} if speed is None else {"speed": speed})


RECORDS = st.lists(
    st.builds(
        sent,
        hour=st.integers(12, 14),
        second=st.integers(0, 1),
        zone=st.sampled_from(sorted(HOURS)),
        user=st.sampled_from(["ada", "ada", "ada", "bob"]),
        lat=st.sampled_from([1.0, 2.0, 3.0, 200.0]),
        speed=st.none() | st.sampled_from([5.0, 6.0]),
        offset=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=3,
)
PAYLOADS = st.lists(RECORDS, min_size=2, max_size=7)
MANY: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
}


def instant(record: Sent) -> int:
    hour, second = int(record["at"][11:13]), int(record["at"][17:19])
    return _UTC_NOON_NS + ((hour - 12 + HOURS[record["zone"]]) * 3600 + second) * 10**9


def expected(payloads: Mapping[int, Sequence[Sent]]) -> plain.Tables:
    """The tables, as `plain.tables` gives them: a record counts if no earlier one of its user has its text or instant;
    else its winner is the earliest that has."""
    rejections, points, counts = dict[Any, Any](), dict[Any, Any](), dict[int, Any]()
    earliest: dict[Any, tuple[int, int]] = {}
    for seq, records in sorted(payloads.items()):
        for idx, record in enumerate(records):
            if record["lat"] > 90:
                rejections[seq, idx] = (["out_of_range"], (0, 0))
                continue
            keys = [(record["user"], instant(record))]
            keys += [(record["user"], record["at"])] if len(record["at"]) == 19 else []
            first = min(earliest.setdefault(key, (seq, idx)) for key in keys)
            if first != (seq, idx):
                rejections[seq, idx] = (["duplicate"], first)
                continue
            for field in ("lat", "speed"):
                points[record["user"], field, instant(record), ()] = (seq, idx, record.get(field))
        lost = sum((seq, idx) in rejections for idx in range(len(records)))
        counts[seq] = (len(records) - lost, lost)
    return {"points": points, "rejections": rejections, "payloads": counts, "rollups": rollups(points)}


def rollups(points: Mapping[Any, Any]) -> dict[Any, Any]:
    values: dict[Any, list[float]] = {}
    for (user, field, time, _), (_, _, value) in points.items():
        if value is not None:
            values.setdefault((user, field, time - time % (60 * 10**9)), []).append(value)
    return {key: (len(of), sum(of) / len(of), min(of), max(of)) for key, of in values.items()}


def tables(store: House | Folded) -> plain.Tables:
    """What a store holds, in the shape of `expected`: windows by their begin, too."""
    everything = store.everything()
    names = {row["series"]: (row["tags"]["user_id"], row["field"]) for row in everything["series"]}
    made = plain.tables(everything)
    made["rollups"] = {
        (*names[row["series"]], row["window"]): (row["count"], row["mean"], row["min"], row["max"])
        for row in everything["rollups"]
    }
    return {name: made[name] for name in ("points", "rejections", "payloads", "rollups")}


@pytest.fixture
def fold(tmp_path: Path) -> Iterator[Make]:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    texts = CatalogFeeds(catalog)
    book = FeedBook(texts, {})
    yield lambda: Folded(texts, book)
    catalog.close()


def filled(make: Make, payloads: Sequence[Sequence[Sent]]) -> House | Folded:
    """A store with a log of these payloads, of which none is applied yet."""
    store = make()
    version = installed(store, "walks", FEED)
    for body in payloads:
        store.send("walks", list(body), feed_version=version)
    return store


@settings(max_examples=rounds(40, 1000), **MANY)
@given(data=st.data(), payloads=PAYLOADS)
def test_the_first_submitted_counts_in_any_order_and_batches(
    fold: Make, data: st.DataObject, payloads: list[list[Sent]]
) -> None:
    store = filled(fold, payloads)
    entries, places = store.entries(), range(len(payloads))
    order = data.draw(st.permutations(places), label="order")
    again = data.draw(st.lists(st.sampled_from(places), max_size=2, unique=True), label="again")
    store.apply(cut(data, [entries[place] for place in order]))
    store.apply([[entries[place] for place in again]] if again else [])
    assert tables(store) == expected(dict(enumerate(payloads, 1)))


@settings(max_examples=rounds(20, 400), **MANY)
@given(data=st.data(), payloads=PAYLOADS, left=st.integers(0, 16))
def test_a_batch_that_was_cut_short_at_any_write_ends_as_one_that_was_not(
    fold: Make, data: st.DataObject, payloads: list[list[Sent]], left: int
) -> None:
    """Changes too."""
    store, calm = filled(fold, payloads), filled(fold, payloads)
    assert isinstance(store, Folded) and isinstance(calm, Folded)
    batches = cut(data, data.draw(st.permutations(range(len(payloads))), label="order"))
    calm.apply([[calm.entries()[place] for place in batch] for batch in batches])
    store.writes_left = left
    for batch in batches:
        entries = [store.entries()[place] for place in batch]
        try:
            store.apply([entries])
        except Killed:
            store.writes_left = None
            store.apply([entries])
    assert tables(store) == tables(calm) == expected(dict(enumerate(payloads, 1)))
    assert changes(store) == changes(calm)


@settings(max_examples=rounds(20, 400), **MANY)
@given(data=st.data(), before=PAYLOADS, after=PAYLOADS)
def test_deleted_series_are_in_nobodys_way(
    fold: Make, data: st.DataObject, before: list[list[Sent]], after: list[list[Sent]]
) -> None:
    """What is submitted after the deletion is decided as if nothing had been before; what was before stays deleted."""
    store = filled(fold, before)
    assert isinstance(store, Folded)
    first = store.entries()
    store.apply(cut(data, first))
    outcomes = tables(store)
    store.delete_series([row["series"] for row in store.all("series")])
    for body in after:
        store.send("walks", body, feed_version=first[0].payload.feed_version)
    again = data.draw(st.lists(st.sampled_from(range(len(first))), max_size=3, unique=True), label="again")
    later = [*(first[place] for place in again), *store.entries()[len(first) :]]
    store.apply(cut(data, data.draw(st.permutations(later), label="order")))
    oracle = expected({seq + len(first): body for seq, body in enumerate(after, 1)})
    held = tables(store)
    assert {key: row for key, row in held["points"].items() if row[0] > len(first)} == oracle["points"]
    assert held["rollups"] == oracle["rollups"]
    assert held["payloads"] == outcomes["payloads"] | oracle["payloads"]
    assert held["rejections"] == outcomes["rejections"] | oracle["rejections"]


@settings(max_examples=rounds(3, 40), **MANY)
@given(data=st.data(), payloads=st.lists(RECORDS, min_size=4, max_size=7))
def test_the_engine_holds_what_the_model_holds(
    fold: Make, build: Callable[..., House], data: st.DataObject, payloads: list[list[Sent]]
) -> None:
    model, house = filled(fold, payloads), filled(build, payloads)
    order = data.draw(st.permutations(range(len(payloads))), label="order")
    batches = [*cut(data, order), order[:2]]
    for store in (model, house):
        entries = store.entries()
        store.apply([[entries[place] for place in batch] for batch in batches])
    assert tables(house) == expected(dict(enumerate(payloads, 1)))
    assert rows(model) == rows(house)
    assert EVIDENCE.keys() <= rows(house).keys()
