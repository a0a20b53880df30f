"""Who stays at an instant does not depend on the order in which records are applied, nor on how they are batched."""

import json
from collections.abc import Sequence
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import FEEDS, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.model.payload import LogEntry
from tidemill.rules.apply import apply_rules
from tidemill.rules.duplicates import CURRENT, SUPERSEDED, keep_first_records
from tidemill.rules.shape import shape_points

FEED = load_feed(
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


def shaped(payloads: Sequence[LogEntry], feed: Feed = FEED) -> pl.DataFrame:
    batch = Decoder(feed).decode_batch(payloads)
    return shape_points(feed, "default", apply_rules(feed, batch), batch).points


class Store:
    """What a table that keeps the largest version does, and the ledger beside it."""

    def __init__(self) -> None:
        self.points: dict[tuple[int, int], dict[str, Any]] = {}
        self.superseded: set[tuple[int, int]] = set()

    def apply(self, payloads: Sequence[LogEntry]) -> None:
        points = shaped(payloads)
        keys = set(points.select("series", "time").rows())
        current = pl.DataFrame([self.points[key] for key in keys if key in self.points], schema=CURRENT)
        kept, superseded = keep_first_records(points, current)
        for row in kept.select(*CURRENT, "value").rows(named=True):
            key = (row["series"], row["time"])
            if key not in self.points or self.points[key]["version"] <= row["version"]:
                self.points[key] = row
        self.superseded |= set(superseded.select("seq", "idx").rows())

    def state(self) -> object:
        return {(key, row["seq"], row["idx"], row["value"]) for key, row in self.points.items()}, self.superseded


record = st.fixed_dictionaries(
    {"t": st.integers(0, 3), "who": st.sampled_from("ab"), "v": st.integers(0, 99)},
    optional={"extra": st.integers(0, 9)},
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(record, max_size=4), max_size=6), st.data())
def test_order_and_batches_do_not_matter(bodies: list[list[dict[str, object]]], data: st.DataObject) -> None:
    payloads = [logged(seq, json.dumps(body).encode(), "p") for seq, body in enumerate(bodies)]
    whole, other = Store(), Store()
    whole.apply(payloads)
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
def test_every_record_either_stands_or_is_a_duplicate(
    bodies: list[list[dict[str, object]]],
) -> None:
    store = Store()
    store.apply([logged(seq, json.dumps(body).encode(), "p") for seq, body in enumerate(bodies)])
    current = {(row["seq"], row["idx"]) for row in store.points.values()}
    every = {(seq, idx) for seq, body in enumerate(bodies) for idx in range(len(body))}
    assert current | store.superseded == every
    assert not current & store.superseded


def test_first_submitted_stays_and_the_loser_names_it() -> None:
    bodies = [
        b'{"t": 1, "who": "a", "v": 5}',
        b'{"t": 1, "who": "a", "v": 6, "extra": 7}',
        b'{"t": 1, "who": "b", "v": 8}',
    ]
    points = shaped([logged(seq, body, "p") for seq, body in enumerate(bodies)])
    kept, superseded = keep_first_records(points, pl.DataFrame(schema=CURRENT))
    assert superseded.rows() == [(1, 0, 1_000_000_000, 0, 0, False)]
    stay = kept.select("seq", "field", "value").sort("seq", "field").rows()
    assert stay == [(0, "extra", None), (0, "v", 5.0), (2, "extra", None), (2, "v", 8.0)]


def test_an_earlier_record_that_comes_later_takes_the_place() -> None:
    late = shaped([logged(3, b'{"t": 1, "who": "a", "v": 5}', "p")])
    current = shaped([logged(9, b'{"t": 1, "who": "a", "v": 6}', "p")]).filter("anchor")
    kept, superseded = keep_first_records(late, current)
    assert superseded.rows() == [(9, 0, 1_000_000_000, 3, 0, True)]
    assert kept["seq"].unique().to_list() == [3]


def test_a_record_alone_at_its_instant_stays() -> None:
    points = shaped([logged(0, b'[{"t": 1, "who": "a", "v": 5}, {"t": 2, "who": "a", "v": 5}]', "p")])
    kept, superseded = keep_first_records(points, pl.DataFrame(schema=CURRENT))
    assert kept.equals(points)
    assert (superseded.height, dict(superseded.schema)) == (0, SUPERSEDED)


def test_points_of_a_feed_that_keeps_all_never_meet() -> None:
    body = b'{"time": 1700000000, "value": [0, 0, 128, 63]}'
    points = shaped([logged(seq, body, "telemetry") for seq in range(3)], FEEDS["telemetry"])
    assert points.select("series", "time", "ordinal").n_unique() == 3


def test_a_summary_has_all_its_figures_so_that_it_replaces_all_of_another() -> None:
    body = b'{"time_stamp": "2019-05-01T10:00:00Z", "data": [5]}'
    points = shaped([logged(1, body, "dropzone")], FEEDS["dropzone"])
    figures = dict(points.select("field", "value").rows())
    assert figures == {"mean": 5.0, "stddev": None, "stddev_pop": 0.0, "count": 1.0}
