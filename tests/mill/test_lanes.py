"""Lanes: in each the order of the log, among them nobody waits for long; what is picked is bounded."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.log.contract import Header
from tidemill.mill.costs import Costs
from tidemill.mill.lanes import ALONE_S, BATCH_S, COSTLY_S, MAX_BYTES, Hold, Lanes
from tidemill.mill.progress import PartitionProgress
from tidemill.model.payload import EntryKind

MIB = 1 << 20
ENTRIES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 100, 50_000, 4 * MIB, 40 * MIB])), max_size=40)


def header(seq: int, tenant: str = "a", size: int = 100, kind: EntryKind = EntryKind.DATA, feed: str = "f") -> Header:
    return Header(seq, tenant, feed, kind, size)


def lanes_of(*headers: Header, progress: PartitionProgress | None = None) -> Lanes:
    lanes = Lanes(Costs(), progress or PartitionProgress())
    lanes.add(headers)
    return lanes


def through(batch: list[Header]) -> dict[str, int]:
    return {one.tenant: one.seq for one in batch}


@settings(max_examples=300)
@given(entries=ENTRIES, gaps=st.lists(st.integers(1, 3), min_size=40, max_size=40), at_most=st.integers(1, 50))
def test_every_entry_is_picked_once_and_those_of_a_tenant_in_their_order(
    entries: list[tuple[str, int]], gaps: list[int], at_most: int
) -> None:
    headers, seq = [], 0
    for (tenant, size), gap in zip(entries, gaps, strict=False):
        seq += gap
        headers.append(header(seq, tenant, size))
    lanes = lanes_of(*headers)
    seen: dict[str, list[int]] = defaultdict(list)
    applied: set[int] = set()
    while batch := lanes.pick(at_most, 0.0) or lanes.pick_costly(0.0):
        lanes.return_lane(batch[0])
        assert len(batch) <= at_most
        assert [one.seq for one in batch] == sorted(one.seq for one in batch)
        assert len(batch) == 1 or sum(one.size_bytes for one in batch) <= MAX_BYTES
        assert len(batch) == 1 or sum(map(lanes.costs.estimate_s, batch)) <= ALONE_S + COSTLY_S + 1e-6
        for one in batch:
            seen[one.tenant].append(one.seq)
        lanes.mark_applied(through(batch))
        applied |= {one.seq for one in batch}
        progress = lanes.progress()
        for one in headers:
            assert progress.applied(one.tenant, one.seq) == (one.seq in applied)
        again = lanes_of(*(one for one in headers if one.seq > progress.checkpoint), progress=progress)
        assert again.waiting == len(headers) - len(applied), "a restart goes on where it was"
    for tenant in "abc":
        assert seen[tenant] == [one.seq for one in headers if one.tenant == tenant]
    assert lanes.progress() == PartitionProgress(seq)
    assert lanes.waiting == 0


def test_what_is_costly_is_not_among_what_is_cheap_and_goes_by_turns() -> None:
    lanes = lanes_of(*(header(seq, f"costly{seq % 3}", 8 * MIB) for seq in range(1, 60)))
    lanes.add([header(100, "b"), header(101, "costly0")])
    assert [one.seq for one in lanes.pick(10, 0.0)] == [100]
    turns = []
    for _ in range(6):
        [costly] = lanes.pick_costly(0.0)
        assert all(one.tenant != costly.tenant for one in lanes.pick(10, 0.0)), "its lane is away"
        turns.append(costly.tenant)
        assert lanes.return_lane(costly)
        lanes.mark_applied({costly.tenant: costly.seq})
    assert turns[:3] == turns[3:] and len(set(turns)) == 3


def test_a_lane_that_is_restarted_stays_away_and_is_applied_again_from_there() -> None:
    lanes = lanes_of(header(1, "a"), header(2, "a", 8 * MIB))
    lanes.mark_applied({"a": 1})
    [costly] = lanes.pick_costly(0.0)
    assert costly.seq == 2
    lanes.restart(PartitionProgress())
    lanes.add([header(1, "a"), header(2, "a", 8 * MIB)])
    assert lanes.pick(10, 0.0) == [], "something of the tenant is still being applied"
    assert not lanes.return_lane(costly), "what is before it is to be applied again first"
    assert [one.seq for one in lanes.pick(10, 0.0)] == [1]


def test_deletions_are_never_costly() -> None:
    lanes = lanes_of(header(1, "a", kind=EntryKind.DELETE))
    lanes.costs.learn([header(1, "a", kind=EntryKind.DELETE)], {("a", "f", True): 60.0})
    assert lanes.pick_costly(0.0) == []
    assert [one.seq for one in lanes.pick(10, 0.0)] == [1]


def test_a_batch_holds_a_share_of_every_lane() -> None:
    lanes = lanes_of(*(header(seq, "a") for seq in range(1, 50_000)))
    lanes.add(header(50_000 + seq, f"b{seq}") for seq in range(200))
    batch = lanes.pick(10_000, 0.0)
    assert len({one.tenant for one in batch}) == 201
    assert len(batch) == 10_000
    lanes.costs.learn(batch, {(one.tenant, "f", False): 4.0 for one in batch})
    slower = lanes.pick(10_000, 0.0)
    assert len({one.tenant for one in slower}) == 201
    assert sum(map(lanes.costs.estimate_s, slower)) == pytest.approx(BATCH_S, abs=0.01)


def test_a_lane_that_is_held_holds_nobody_else_and_is_tried_alone() -> None:
    lanes = lanes_of(header(1, "a"), header(2, "b"), header(3, "a"))
    lanes.hold("a", Hold(1, "refused", 1, 5.0))
    assert [one.seq for one in lanes.pick(10, 0.0)] == [2]
    lanes.mark_applied({"b": 2})
    assert lanes.progress() == PartitionProgress(0, {"b": 2})
    assert lanes.pick(10, 4.9) == []
    assert [one.seq for one in lanes.pick(10, 5.0)] == [1]
    lanes.mark_applied({"a": 1})
    assert lanes.held("a") is None
    assert [one.seq for one in lanes.pick(10, 5.0)] == [3]


def test_costs_rise_at_once_and_fall_slowly_and_are_each_tenants_own() -> None:
    costs = Costs()
    first, second, third = (header(1, tenant, MIB) for tenant in "abc")
    guessed = costs.estimate_s(first)
    costs.learn([first, second], {("a", "f", False): 4.0, ("b", "f", False): 1.0})
    assert costs.estimate_s(first) == pytest.approx(4.0, abs=0.1)
    assert costs.estimate_s(second) == pytest.approx(1.0, abs=0.1)
    assert costs.estimate_s(third) == guessed
    costs.learn([first], {("a", "f", False): 0.1})
    assert 2.0 < costs.estimate_s(first) < 4.0


def test_neither_a_slow_moment_nor_a_cheap_past_makes_a_payload_what_its_size_is_not() -> None:
    costs = Costs()
    small, large = header(1), header(1, size=8 * MIB)
    costs.learn([small], {("a", "f", False): 3.0})
    assert costs.estimate_s(small) < COSTLY_S
    for _ in range(100):
        costs.learn([large], {("a", "f", False): 0.01})
    assert costs.estimate_s(large) > COSTLY_S


FEEDS = st.tuples(st.sampled_from("ab"), st.sampled_from("fg"))


@settings(max_examples=300)
@given(entries=st.lists(FEEDS, max_size=30), blocks=st.lists(st.sets(FEEDS, max_size=2), max_size=12))
def test_a_blocked_feed_waits_and_the_others_go_on(
    entries: list[tuple[str, str]], blocks: list[set[tuple[str, str]]]
) -> None:
    headers = [header(seq, tenant, feed=feed) for seq, (tenant, feed) in enumerate(entries, 1)]
    lanes = Lanes(Costs(), PartitionProgress())
    applied: list[Header] = []
    before, offsets = PartitionProgress(), dict[tuple[str, str], int]()
    for blocked in [*blocks, set()]:
        offsets = {key: offsets.get(key, before.through(key[0])) for key in sorted(blocked)}
        lanes.block(offsets)
        lanes.add(headers[lanes.scanned : lanes.scanned + 4] if blocked else headers[lanes.scanned :])
        while batch := lanes.pick(3, 0.0):
            assert not {(one.tenant, one.feed) for one in batch} & blocked
            applied += batch
            lanes.mark_applied(through(batch))
            now = lanes.progress()
            assert all(one in applied for one in headers if now.applied(one.tenant, one.seq))
            assert all(now.through(tenant) <= offset for (tenant, _), offset in offsets.items())
            assert all(now.through(tenant) >= before.through(tenant) for tenant in "ab"), "it never falls"
            before = now
        assert {(one.tenant, one.feed) for one in headers[: lanes.scanned] if one not in applied} <= blocked
    for key in {(one.tenant, one.feed) for one in headers}:
        seqs = [one.seq for one in applied if (one.tenant, one.feed) == key]
        assert seqs == [one.seq for one in headers if (one.tenant, one.feed) == key], "once, in the log's order"
    assert lanes.progress() == PartitionProgress(len(headers))
