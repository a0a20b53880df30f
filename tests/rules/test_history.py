"""Rules that need the past say the same as a plain reading of their contract, however records are cut into batches."""

import json
import statistics
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import logged
from tidemill.checks.check import FeedColumns
from tidemill.checks.history import PAST_CHECKS
from tidemill.checks.look_back import LookBack, PastCheck, range_extent
from tidemill.decode.decoder import Decoder
from tidemill.feeds.definition import Feed, Rule
from tidemill.feeds.load import load_feed
from tidemill.model.payload import LogEntry
from tidemill.model.time import NS_PER_S, duration_ns
from tidemill.rules import history
from tidemill.rules.apply import apply_rules
from tidemill.rules.history_lookup import LATEST, POINTS, HistoryLookup
from tidemill.rules.sequential import IndexSet
from tidemill.rules.shape import shape_points

FEED = """
name = "plant"
duplicates = "{policy}"
[time]
path = "$.t"
format = "unix_s"
[tags.site]
path = "$.s"
[fields.v]
path = "$.v"
[fields.w]
path = "$.w"
required = false
"""
NOW = 1_700_000_000
Place = tuple[int, int]
Record = dict[str, Any]


def plant(policy: str, rules: Sequence[dict[str, Any]]) -> Feed:
    feed = load_feed(FEED.format(policy=policy))
    return msgspec.structs.replace(feed, rules=tuple(msgspec.convert(rule, Rule) for rule in rules))


# --- the contract, read plainly: one record after the other, each time over all that went before ---


def plain(
    policy: str, rules: Sequence[dict[str, Any]], records: Sequence[tuple[Place, Record]]
) -> dict[Place, list[str]]:
    """The reasons of each record; those of flags where it was not rejected."""
    accepted: list[tuple[Place, Record]] = []
    fallen: list[Record] = []
    found = {}
    for place, record in records:
        broken = [rule for rule in rules if breaks(policy, rule, record, accepted, fallen)]
        rejecting = [rule for rule in broken if rule["action"] != "flag"]
        found[place] = [rule["check"] for rule in rejecting or broken]
        if not rejecting:
            accepted.append((place, record))
        elif {rule["check"] for rule in rejecting} == {"counter_reset"}:
            fallen.append(record)
    return found


def breaks(
    policy: str, rule: dict[str, Any], record: Record, accepted: list[tuple[Place, Record]], fallen: list[Record]
) -> bool:
    options = rule["options"]
    value, time = record.get(options["field"]), record["t"]
    if value is None:
        return False
    if rule["check"] == "range":
        return bool(value > options["max"])
    stands: dict[int, float | None] = {}
    ever = []
    for _, other in accepted:
        there = other.get(options["field"])
        if other["s"] != record["s"] or (there is None and policy != "first"):
            continue
        if policy == "first" and other["t"] in stands:
            continue
        stands[other["t"]] = there
        ever += [] if there is None else [other["t"]]
    if rule["check"] == "monotonic":
        return bool(ever) and time <= max(ever)
    if rule["check"] == "late":
        return bool(ever) and time < max(ever) - seconds(options["behind"])
    within = seconds(options.get("within", "1d"))
    past = sorted((t, v) for t, v in stands.items() if v is not None and time - within <= t < time)
    if rule["check"] == "counter_reset":  # a counter that began again falls once
        falls = [other["t"] for other in fallen if other["s"] == record["s"] and time - within <= other["t"] < time]
        if falls and (not past or max(falls) > past[-1][0]):
            return False
    return bool(past) and AGAINST[rule["check"]](options, time, value, past)


def seconds(text: str) -> float:
    return duration_ns(text) / NS_PER_S


def spacing(options: dict[str, Any], time: int, value: float, past: list[tuple[int, float]]) -> bool:
    return time - past[-1][0] < seconds(options["min_spacing"])


def step(options: dict[str, Any], time: int, value: float, past: list[tuple[int, float]]) -> bool:
    passed = (time - past[-1][0]) / seconds(options["per"]) if "per" in options else 1
    return abs(value - past[-1][1]) > options["max_change"] * passed


def stuck(options: dict[str, Any], time: int, value: float, past: list[tuple[int, float]]) -> bool:
    same = 0
    for _, other in reversed(past):
        if abs(value - other) > options.get("tolerance", 0):
            break
        same += 1
    began = past[len(past) - same][0] if same else time
    by_count = "max_count" in options and same >= options["max_count"]
    return by_count or ("max_duration" in options and time - began > seconds(options["max_duration"]))


def spike(options: dict[str, Any], time: int, value: float, past: list[tuple[int, float]]) -> bool:
    values = [other for _, other in past[-options.get("window", 31) :]]
    if len(values) < options.get("min_points", 8):
        return False
    median = statistics.median(values)
    mad = max(statistics.median(abs(other - median) for other in values), options.get("min_deviation", 0))
    return mad > 0 and abs(0.6745 * (value - median) / mad) > options.get("max_z", 6)


def counter_reset(options: dict[str, Any], time: int, value: float, past: list[tuple[int, float]]) -> bool:
    before, wrap = past[-1][1], options.get("wrap")
    return value < before and (wrap is None or not 0 <= value + wrap - before < wrap / 2)


AGAINST = {"spacing": spacing, "step": step, "stuck": stuck, "spike": spike, "counter_reset": counter_reset}


# --- ours, in batches, with a past that knows what it must and (as the contract allows) some more ---


class Kept:
    """A past that remembers everything that was accepted; it answers with no more than what was asked for."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.rows: list[tuple[int, int, int, int, float | None]] = []
        self.rejections: list[tuple[int, int, list[int], list[str]]] = []

    def add(self, points: pl.DataFrame) -> None:
        self.rows += points.select("series", "time", "seq", "idx", "value").rows()

    def points(
        self, tenant: str, asked: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> pl.DataFrame:
        stands: dict[tuple[int, int], tuple[int, int, int, int, float | None]] = {}
        for row in sorted(self.rows, key=lambda row: row[2:4], reverse=policy == "first"):
            if row[2] < before_seq:
                stands[row[:2]] = row
        found = set()
        for series, time in asked.select("series", "time").iter_rows():
            held = sorted(
                (row for row in stands.values() if row[0] == series and time - reach.within_ns <= row[1] <= time),
                key=lambda row: row[1],
            )
            recent = [row for row in held if row[1] >= time - reach.span_ns]
            older = [row for row in held if row[1] < time - reach.span_ns and row[4] is not None]
            found |= set(recent + older[len(older) - min(reach.count, len(older)) :])
            nulls = [row for row in held if row[4] is None]
            found |= set(nulls)
        return pl.DataFrame(sorted(found, key=lambda row: row[:2]), schema=POINTS, orient="row")

    def rejected(
        self, tenant: str, feed: str, rows: pl.DataFrame, *, within_ns: int, codes: Sequence[str], before_seq: int
    ) -> pl.DataFrame:
        found = set()
        for series, time in rows.select("series", "time").iter_rows():
            for seq, at, of, reasons in self.rejections:
                if seq < before_seq and series in of and set(reasons) <= set(codes) and time - within_ns <= at <= time:
                    found.add((series, at))
        return pl.DataFrame(sorted(found), schema=LATEST, orient="row")

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        found = []
        for series, time in since.select("series", "time").iter_rows():
            times = [row[1] for row in self.rows if row[0] == series and row[2] < before_seq and row[4] is not None]
            found += [(series, max(times))] if times and max(times) >= time else []
        return pl.DataFrame(found, schema=LATEST, orient="row")


def ours(feed: Feed, batches: Sequence[Sequence[LogEntry]]) -> dict[Place, list[str]]:
    """The same, judged by what is tested, batch by batch."""
    decoder, kept, found = Decoder(feed), Kept(feed), dict[Place, list[str]]()
    names = {rule.code: rule.check for rule in feed.rules}
    for entries in batches:
        batch = decoder.decode_batch(entries)
        checked = apply_rules(feed, batch, HistoryLookup("default", entries[0].seq, kept))
        for seq, idx, reasons in checked.rejections.select("seq", "idx", "reasons").iter_rows():
            found[seq, idx] = [names[reason] for reason in reasons]
        for seq, idx, marks in checked.frame.select("seq", "idx", "marks").iter_rows():
            found[seq, idx] = [names[mark] for mark in marks or []]
        shaped = shape_points(feed, "default", checked, batch)
        points = shaped.points
        kept.rejections += shaped.rejections.select("seq", "time", "series", "reasons").rows()
        if feed.duplicates == "first":  # what loses the contest is not stored
            points = points.sort("seq", "idx").join(
                pl.DataFrame(
                    [row[:2] for row in kept.rows], schema={"series": pl.UInt64, "time": pl.Int64}, orient="row"
                ),
                on=["series", "time"],
                how="anti",
                maintain_order="left",
            )
            points = points.unique(["series", "time"], keep="first", maintain_order=True)
        kept.add(points)
    return found


def entries_of(payloads: Sequence[Sequence[Record]]) -> list[LogEntry]:
    return [logged(seq, json.dumps(records).encode(), "plant") for seq, records in enumerate(payloads, 1)]


def numbered(payloads: Sequence[Sequence[Record]]) -> list[tuple[Place, Record]]:
    return [((seq, idx), record) for seq, records in enumerate(payloads, 1) for idx, record in enumerate(records)]


def cut(entries: list[LogEntry], cuts: Sequence[int]) -> list[list[LogEntry]]:
    ends = sorted({cut for cut in cuts if 0 < cut < len(entries)})
    return [entries[start:stop] for start, stop in zip([0, *ends], [*ends, len(entries)], strict=True)]


RULES = st.one_of(
    st.builds(lambda f: {"check": "monotonic", "options": {"field": f}}, f=st.sampled_from("vw")),
    st.builds(
        lambda f, b: {"check": "late", "options": {"field": f, "behind": b}},
        f=st.sampled_from("vw"),
        b=st.sampled_from(["1s", "5s"]),
    ),
    st.builds(
        lambda f, b, w: {"check": "spacing", "options": {"field": f, "min_spacing": b, "within": w}},
        f=st.sampled_from("vw"),
        b=st.sampled_from(["2s", "3s"]),
        w=st.sampled_from(["5s", "1d"]),
    ),
    st.builds(
        lambda f, m, p, w: {"check": "step", "options": {"field": f, "max_change": m, "within": w} | p},
        f=st.sampled_from("vw"),
        m=st.sampled_from([0.0, 1.0, 3.0]),
        p=st.sampled_from([{}, {"per": "2s"}]),
        w=st.sampled_from(["2s", "1d"]),
    ),
    st.builds(
        lambda f, m, t, w: {"check": "stuck", "options": {"field": f, "tolerance": t, "within": w} | m},
        f=st.sampled_from("vw"),
        m=st.sampled_from(
            [{"max_count": 1}, {"max_count": 3}, {"max_duration": "3s"}, {"max_count": 4, "max_duration": "2s"}]
        ),
        t=st.sampled_from([0.0, 1.0]),
        w=st.sampled_from(["5s", "1d"]),
    ),
    st.builds(
        lambda f, n, z, d, w: {
            "check": "spike",
            "options": {"field": f, "window": n, "min_points": 3, "max_z": z, "min_deviation": d, "within": w},
        },
        f=st.sampled_from("vw"),
        n=st.sampled_from([3, 5]),
        z=st.sampled_from([1.0, 3.0]),
        d=st.sampled_from([0.0, 0.5]),
        w=st.sampled_from(["4s", "1d"]),
    ),
    st.builds(
        lambda f, o, w: {"check": "counter_reset", "options": {"field": f, "within": w} | o},
        f=st.sampled_from("vw"),
        o=st.sampled_from([{}, {"wrap": 8.0}]),
        w=st.sampled_from(["5s", "1d"]),
    ),
    st.just({"check": "range", "options": {"field": "v", "max": 4}}),
)


def with_actions(rules: list[dict[str, Any]], flags: list[bool]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for rule, flag in zip(rules, flags, strict=False):  # one of a kind: reasons are told apart by their check
        found.setdefault(rule["check"], rule | {"action": "flag" if flag else "reject"})
    return list(found.values())


@st.composite
def streams(draw: st.DrawFn) -> list[list[Record]]:
    """Payloads of several series: mostly in the order of time, or not at all."""
    ordered = draw(st.booleans())
    clocks = [NOW, NOW]
    payloads = []
    for size in draw(st.lists(st.integers(1, 6), min_size=1, max_size=8)):
        records = []
        for _ in range(size):
            site = draw(st.integers(0, 1))
            if ordered:
                clocks[site] += draw(st.integers(1, 3))
            time = clocks[site] if ordered else NOW + draw(st.integers(0, 9))
            record = {"t": time, "s": f"s{site}", "v": draw(st.integers(0, 5)) * 1.0}
            other = draw(st.none() | st.integers(0, 3))
            records.append(record if other is None else record | {"w": other * 1.0})
        payloads.append(records)
    return payloads


@settings(max_examples=120, deadline=None)
@given(
    policy=st.sampled_from(["first", "last", "keep"]),
    rules=st.lists(RULES, min_size=1, max_size=4),
    flags=st.lists(st.sampled_from([False, False, True]), min_size=4, max_size=4),
    payloads=streams(),
    cuts=st.lists(st.integers(1, 8), max_size=4),
)
def test_any_batches_say_what_the_contract_says(
    policy: str, rules: list[dict[str, Any]], flags: list[bool], payloads: list[list[Record]], cuts: list[int]
) -> None:
    chosen = with_actions(rules, flags)
    entries = entries_of(payloads)
    feed = plant(policy, chosen)
    expected = plain(policy, chosen, numbered(payloads))
    assert ours(feed, cut(entries, cuts)) == expected
    assert ours(feed, [entries]) == expected


@settings(max_examples=60, deadline=None)
@given(
    rules=st.lists(RULES, min_size=1, max_size=4),
    values=st.lists(st.integers(0, 5), min_size=30, max_size=90),
    turns=st.sampled_from([1, 2, 4]),
    stretch=st.sampled_from([1, 3, 64]),
)
def test_columns_and_one_by_one_take_turns(
    rules: list[dict[str, Any]], values: list[int], turns: int, stretch: int
) -> None:
    chosen = with_actions(rules, [False] * len(rules))
    payloads = [[{"t": NOW + number, "s": "s", "v": v * 1.0, "w": v % 3 * 1.0} for number, v in enumerate(values)]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "_MAX_TURNS", turns)
        patch.setattr(history, "_STRETCH", stretch)
        assert ours(plant("last", chosen), [entries_of(payloads)]) == plain("last", chosen, numbered(payloads))


def judged(options: str, values: Sequence[float], check: str = "step") -> list[bool]:
    """Which of some values, a minute apart, break a check."""
    rules = load_feed(
        FEED.format(policy="last") + f'[[rules]]\ncheck = "{check}"\noptions = {{ field = "v", {options} }}\n'
    ).rules
    records = [{"t": NOW + 60 * number, "s": "s", "v": value} for number, value in enumerate(values)]
    feed = msgspec.structs.replace(plant("last", []), rules=rules)
    found = ours(feed, [[entry] for entry in entries_of([[record] for record in records])])
    return [bool(reasons) for _, reasons in sorted(found.items())]


def test_a_rejected_value_is_no_past() -> None:
    assert judged("max_change = 5", [1, 100, 2, 3, 101, 102]) == [False, True, False, False, True, True]
    assert judged('max_change = 5, per = "1m"', [0, 6, 10, 11]) == [False, True, False, False]


def test_a_value_may_stay_the_same_so_often_and_so_long() -> None:
    assert judged("max_count = 2", [1, 1, 1, 1, 2, 1], "stuck") == [False, False, True, True, False, False]
    assert judged('max_duration = "2m"', [1, 1, 1, 1, 2], "stuck") == [False, False, False, True, False]
    assert judged('max_duration = "2m", within = "3m"', [1] * 7, "stuck") == [False] * 3 + [True, True, True, False]


def test_a_spike_stands_out_from_values_that_hardly_change_only_by_the_least_deviation() -> None:
    calm = [20.0, 20.1] * 5
    assert judged("min_points = 8", [*calm, 20.4, 21.0, 20.1], "spike") == [False] * 11 + [True, False]
    assert not any(judged("min_points = 8", [20.0] * 10 + [99.0], "spike"))
    assert judged("min_points = 8, min_deviation = 0.1", [20.0] * 10 + [99.0, 20.5], "spike") == [False] * 10 + [
        True,
        False,
    ]


def test_a_counter_may_overflow_but_not_begin_anew() -> None:
    assert judged("wrap = 256", [250, 4, 20, 3, 130, 2], "counter_reset") == [False, False, False, True, False, True]
    assert judged('within = "1d"', [250, 4, 251], "counter_reset") == [False, True, False]


def test_a_counter_falls_once_and_what_follows_counts_anew() -> None:
    meter = [10432.1, 10432.6, 0.0, 0.3, 0.7, 9.7, 9.9]
    assert judged('within = "1d"', meter, "counter_reset") == [False, False, True, False, False, False, False]
    assert judged('within = "1d"', [100, 101, 0, 102, 9999, 103, 104], "counter_reset") == [
        *(False, False, True, False, False, True, False)
    ]


def test_what_another_rule_rejects_as_well_is_no_reading_of_a_counter() -> None:
    rules = [
        {"check": "counter_reset", "action": "reject", "options": {"field": "v"}},
        {"check": "range", "action": "reject", "options": {"field": "v", "max": 1000}},
        {"check": "step", "action": "reject", "options": {"field": "v", "max_change": 50}},
    ]
    records = [{"t": NOW + n, "s": "s", "v": value * 1.0} for n, value in enumerate([100, 2, 3, 98, 97, 120])]
    found = ours(plant("last", rules), [[entry] for entry in entries_of([[record] for record in records])])
    assert list(found.values()) == [[], *[["counter_reset", "step"]] * 2, ["counter_reset"], [], []]
    assert found == plain("last", rules, numbered([[record] for record in records]))


def test_the_summary_of_a_record_is_judged_too() -> None:
    rule = {"check": "step", "options": {"field": "mean", "max_change": 1}}
    feed = load_feed(
        'name = "plant"\n[time]\npath = "$.t"\nformat = "unix_s"\n[fields.data]\npath = "$.d"\ntype = "numbers"\n'
        '[shape]\nkind = "summary"\n'
    )
    feed = msgspec.structs.replace(feed, rules=(msgspec.convert(rule, Rule),))
    payloads = [[{"t": NOW + number, "d": [mean, mean + 1]}] for number, mean in enumerate([1, 2, 9, 3])]
    found = ours(feed, [entries_of(payloads)[:2], entries_of(payloads)[2:]])
    assert [reasons for _, reasons in sorted(found.items())] == [[], [], ["step"], []]


def test_registers_are_judged_each_by_its_own_series() -> None:
    rules = [{"check": "counter_reset", "action": "flag", "options": {"field": name}} for name in ("1.8.0", "2.8.0")]
    feed = load_feed('name = "plant"\n[time]\npath = "$.t"\nformat = "unix_s"\n[registers]\nexcept_keys = ["t"]\n')
    feed = msgspec.structs.replace(feed, rules=tuple(msgspec.convert(rule, Rule) for rule in rules))
    records = [
        {"1.8.0": 5, "2.8.0": 9},
        {"1.8.0": 6},
        {"1.8.0": 5, "2.8.0": 10},
        {"2.8.0": 8},
        {"1.8.0": 6, "2.8.0": 10},
    ]
    payloads = [[record | {"t": NOW + number}] for number, record in enumerate(records)]
    found = ours(feed, [entries_of(payloads)[:3], entries_of(payloads)[3:]])
    assert [bool(reasons) for _, reasons in sorted(found.items())] == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("check", "options", "option"),
    [
        ("step", {"field": "x", "max_change": 1}, "field"),
        ("step", {"field": "v", "max_change": -1}, "max_change"),
        ("step", {"field": "v", "max_change": 1, "per": "0s"}, "per"),
        ("step", {"field": "v", "max_change": 1, "within": "soon"}, "within"),
        ("spacing", {"field": "v", "min_spacing": "2d"}, "min_spacing"),
        ("stuck", {"field": "v"}, "max_count"),
        ("stuck", {"field": "v", "max_count": 0}, "max_count"),
        ("stuck", {"field": "v", "max_duration": "1d"}, "max_duration"),
        ("stuck", {"field": "v", "max_count": 2, "tolerance": -1}, "tolerance"),
        ("spike", {"field": "v", "window": 2}, "window"),
        ("spike", {"field": "v", "min_points": 32}, "min_points"),
        ("spike", {"field": "v", "max_z": 0}, "max_z"),
        ("spike", {"field": "v", "min_deviation": -1}, "min_deviation"),
        ("counter_reset", {"field": "v", "wrap": 0}, "wrap"),
        ("late", {"field": "v", "behind": "x"}, "behind"),
        ("monotonic", {"field": "y"}, "field"),
    ],
)
def test_options_that_make_no_sense_are_named(check: str, options: dict[str, Any], option: str) -> None:
    kinds = {one.name: one for one in PAST_CHECKS}
    made: PastCheck = msgspec.convert(options, kinds[check])
    assert [name for name, _ in made.faults(FeedColumns(fields=("v", "w")))] == [option]


@given(st.sets(st.integers(0, 5000)), st.sets(st.integers(0, 5000)), st.lists(st.integers(0, 5000)))
def test_the_set_of_instants_knows_what_is_below(added: set[int], removed: set[int], asked: list[int]) -> None:
    instants = IndexSet(5001)
    for number in added:
        instants.add(number)
    for number in removed:
        instants.discard(number)
    for number in asked:
        assert instants.greatest_below(number) == max((one for one in added - removed if one < number), default=-1)


@given(st.lists(st.floats(-9, 9), min_size=1), st.data())
def test_the_extent_of_ranges(values: list[float], data: st.DataObject) -> None:
    stops = data.draw(st.lists(st.integers(1, len(values)), max_size=20))
    firsts = [data.draw(st.integers(0, stop - 1)) for stop in stops]
    low, high = range_extent(np.array(values), np.array(firsts, np.int64), np.array(stops, np.int64))
    expected = [(min(values[a:b]), max(values[a:b])) for a, b in zip(firsts, stops, strict=True)]
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == expected
