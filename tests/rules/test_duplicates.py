"""Who stays at an instant does not depend on the order in which records are applied, nor on how they are batched."""

import json
from collections.abc import Sequence

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import FEEDS, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load
from tidemill.model.payload import Logged
from tidemill.rules.apply import apply_rules
from tidemill.rules.duplicates import STANDING, contest
from tidemill.rules.shape import Shaped, shape

FIRST = load(
    """name = "p"
duplicates = "first"
[time]
path = "$.t"
format = "unix_s"
[tags.who]
path = "$.who"
[fields.extra]
path = "$.extra"
required = false
[fields.v]
path = "$.v"
"""
)
LAST = load(
    """name = "p"
[time]
path = "$.t"
format = "unix_s"
[tags.who]
path = "$.who"
[fields.v]
path = "$.v"
"""
)
Row = tuple[int, int, float | None]


def shaped(feed: Feed, payloads: Sequence[Logged]) -> Shaped:
    batch = Decoder(feed).decode(payloads)
    return shape(feed, "default", apply_rules(feed, batch), batch)


class Store:
    """What a table that keeps the largest version does, and the ledger beside it."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.points: dict[tuple[int, int], dict[str, object]] = {}
        self.losers: set[tuple[int, int]] = set()
        self.replaced: set[tuple[int, int, int, int, float | None]] = set()

    def apply(self, payloads: Sequence[Logged]) -> None:
        points = shaped(self.feed, payloads).points
        keys = set(points.select("series", "time").rows())
        standing = pl.DataFrame([self.points[key] for key in keys if key in self.points], schema=STANDING)
        result = contest(self.feed, points, standing)
        for row in result.points.select(list(STANDING)).rows(named=True):
            key = (row["series"], row["time"])
            if key not in self.points or self.points[key]["version"] <= row["version"]:
                self.points[key] = row
        self.losers |= set(result.losers.select("seq", "idx").rows())
        self.replaced |= set(result.replaced.select("series", "time", "seq", "idx", "value").rows())

    def state(self) -> object:
        stands = {(key, row["seq"], row["idx"], row["value"]) for key, row in self.points.items()}
        return stands, self.losers, self.replaced


record = st.fixed_dictionaries(
    {"t": st.integers(0, 3), "who": st.sampled_from("ab"), "v": st.integers(0, 99)},
    optional={"extra": st.integers(0, 9)},
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(record, max_size=4), max_size=6), st.data())
def test_order_and_batches_do_not_matter(bodies: list[list[dict[str, object]]], data: st.DataObject) -> None:
    payloads = [logged(seq, json.dumps(body).encode(), "p") for seq, body in enumerate(bodies)]
    for feed in (FIRST, LAST):
        whole = Store(feed)
        whole.apply(payloads)
        other = Store(feed)
        order = data.draw(st.permutations(payloads))
        while order:
            size = data.draw(st.integers(1, len(order)))
            other.apply(order[:size])
            if data.draw(st.booleans()):  # a crash after the insert: the same batch again
                other.apply(order[:size])
            order = order[size:]
        assert other.state() == whole.state()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(record, max_size=4), max_size=6))
def test_every_record_of_a_first_wins_feed_either_stands_or_is_a_duplicate(
    bodies: list[list[dict[str, object]]],
) -> None:
    store = Store(FIRST)
    store.apply([logged(seq, json.dumps(body).encode(), "p") for seq, body in enumerate(bodies)])
    standing = {(row["seq"], row["idx"]) for row in store.points.values()}
    every = {(seq, idx) for seq, body in enumerate(bodies) for idx in range(len(body))}
    assert standing | store.losers == every
    assert not standing & store.losers


def test_first_submitted_stays_and_the_loser_names_it() -> None:
    bodies = [
        b'{"t": 1, "who": "a", "v": 5}',
        b'{"t": 1, "who": "a", "v": 6, "extra": 7}',
        b'{"t": 1, "who": "b", "v": 8}',
    ]
    points = shaped(FIRST, [logged(seq, body, "p") for seq, body in enumerate(bodies)]).points
    result = contest(FIRST, points, pl.DataFrame(schema=STANDING))
    assert result.losers.rows() == [(1, 0, 1_000_000_000, 0, 0, False)]
    kept = result.points.select("seq", "field", "value").sort("seq", "field").rows()
    assert kept == [(0, "extra", None), (0, "v", 5.0), (2, "extra", None), (2, "v", 8.0)]


def test_an_earlier_record_that_comes_later_takes_the_place() -> None:
    late = shaped(FIRST, [logged(3, b'{"t": 1, "who": "a", "v": 5}', "p")]).points
    standing = shaped(FIRST, [logged(9, b'{"t": 1, "who": "a", "v": 6}', "p")]).points.filter("anchor")
    result = contest(FIRST, late, standing)
    assert result.losers.rows() == [(9, 0, 1_000_000_000, 3, 0, True)]
    assert result.points["seq"].unique().to_list() == [3]


def test_last_wins_keeps_what_it_replaced() -> None:
    bodies = [b'{"t": 1, "who": "a", "v": 5}', b'[{"t": 1, "who": "a", "v": 6}, {"t": 1, "who": "a", "v": 7}]']
    points = shaped(LAST, [logged(seq, body, "p") for seq, body in enumerate(bodies)]).points
    result = contest(LAST, points, pl.DataFrame(schema=STANDING))
    assert result.points.select("seq", "idx", "value").rows() == [(1, 1, 7.0)]
    replaced = result.replaced.select("seq", "idx", "value", "by_seq", "by_idx").sort("seq", "idx").rows()
    assert replaced == [(0, 0, 5.0, 1, 1), (1, 0, 6.0, 1, 1)]
    assert result.losers.is_empty()


def test_a_feed_that_keeps_all_decides_nothing() -> None:
    body = b'{"time": 1700000000, "value": [0, 0, 128, 63]}'
    feed = FEEDS["telemetry"]
    points = shaped(feed, [logged(seq, body, "telemetry") for seq in range(3)]).points
    result = contest(feed, points, pl.DataFrame(schema=STANDING))
    assert result.points.height == 3
    assert points["ordinal"].n_unique() == 3


def test_a_summary_replaces_all_its_figures_also_by_null() -> None:
    feed = FEEDS["dropzone"]
    bodies = [
        b'{"time_stamp": "2019-05-01T06:00:00-04:00", "data": [1, 3]}',
        b'{"time_stamp": "2019-05-01T10:00:00Z", "data": [5]}',
    ]
    points = shaped(feed, [logged(seq, body, "dropzone") for seq, body in enumerate(bodies)]).points
    kept = contest(feed, points, pl.DataFrame(schema=STANDING)).points
    assert dict(kept.select("field", "value").rows()) == {"mean": 5.0, "stddev": None, "stddev_pop": 0.0, "count": 1.0}
