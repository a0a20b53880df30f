"""What every `IntakeLog` promises, run over every implementation. A new one adds itself and what it can do to LOGS."""

import asyncio
import functools
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.log.payloads import NOW_NS, payload
from tests.support.file_log import FileLog, FileLogReader
from tests.support.nats import needs_nats, shared_nats
from tidemill.errors import ConflictError, Fault, LogLacksError
from tidemill.log.contract import (
    EVERY_CAPABILITY,
    BacklogReader,
    Capability,
    Header,
    IntakeLog,
    LogPartition,
    SelfCheck,
)
from tidemill.log.jetstream import JetStreamLink, JetStreamLog, JetStreamLogReader
from tidemill.log.jetstream.names import StreamNames
from tidemill.log.limits import LogLimits
from tidemill.log.partitioned import PartitionedLog
from tidemill.log.partitions import log_folder
from tidemill.log.sqlite import SqliteLog, SqliteLogReader
from tidemill.model.offset import Partition, partition_of, partition_of_feed, seq_of
from tidemill.model.payload import EntryKind, LogEntry

DAY_NS = 86_400 * 10**9


class Implementation(NamedTuple):
    """How a log is opened in a folder (by its owner, with limits and clocks where it has any; by readers of its
    partitions), and what it can do beside appending and reading."""

    open_log: Callable[..., IntakeLog]
    open_readers: Callable[[Path], list[BacklogReader]]
    capabilities: frozenset[Capability] = EVERY_CAPABILITY
    own_clock: bool = False  # keys expire by a clock that a test cannot set


def four(data: Path, **options: Any) -> PartitionedLog:
    return PartitionedLog([SqliteLog(log_folder(data, number), partition=number, **options) for number in range(4)])


def files(data: Path, **_: Any) -> FileLog:
    return FileLog(data)


def four_files(data: Path, **_: Any) -> PartitionedLog:
    return PartitionedLog([FileLog(log_folder(data, number), number) for number in range(4)])


def jetstream(data: Path, count: int, **options: Any) -> PartitionedLog:
    """A log with the name of the folder in the cluster of the tests."""
    cluster = shared_nats()
    link, options = JetStreamLink(cluster.servers), {"limits": options["limits"], "now_ns": options["now_ns"]}
    monitors = [node.monitor for node in cluster.nodes]
    names = [StreamNames(_name_of(data), number) for number in range(count)]
    return PartitionedLog([JetStreamLog(link, each, monitors=monitors, **options) for each in names])


def jetstream_readers(data: Path, count: int) -> list[BacklogReader]:
    link = JetStreamLink(shared_nats().servers)
    return [JetStreamLogReader(link, StreamNames(_name_of(data), number)) for number in range(count)]


def _name_of(data: Path) -> str:
    return hashlib.sha256(str(data).encode()).hexdigest()[:16]


def on_jetstream(count: int) -> Implementation:
    capabilities = EVERY_CAPABILITY - {Capability.REPAIR}
    open_log, open_readers = (
        functools.partial(jetstream, count=count),
        functools.partial(jetstream_readers, count=count),
    )
    return Implementation(open_log, open_readers, capabilities, own_clock=True)


LOGS: dict[str, Implementation] = {
    "sqlite": Implementation(SqliteLog, lambda data: [SqliteLogReader(data)]),
    "sqlite, 4 partitions": Implementation(
        four, lambda data: [SqliteLogReader(log_folder(data, number)) for number in range(4)]
    ),
    "jetstream": on_jetstream(1),
    "jetstream, 4 partitions": on_jetstream(4),
    "files": Implementation(files, lambda data: [FileLogReader(data)], frozenset({Capability.RECEIPTS})),
    "files, 4 partitions": Implementation(
        four_files,
        lambda data: [FileLogReader(log_folder(data, number), number) for number in range(4)],
        frozenset({Capability.RECEIPTS}),
    ),
    "files, without an index": Implementation(
        lambda data, **_: FileLog(data, index=False), lambda data: [FileLogReader(data, index=False)], frozenset()
    ),
}
Open = Callable[..., IntakeLog]


def marked(name: str) -> Any:
    """The name of a log as a parameter: three nodes are not started in `make test`."""
    return pytest.param(name, marks=[pytest.mark.slow, needs_nats] if name.startswith("jetstream") else [])


def needs(capability: Capability) -> pytest.MarkDecorator:
    """The test runs over every log that has this capability; what the others say to it is tested by itself."""
    able = [marked(name) for name, log in LOGS.items() if capability in log.capabilities]
    return pytest.mark.parametrize("open_log", able, indirect=True)


class Clock:
    def __init__(self) -> None:
        self.ns = NOW_NS

        self.jumped_ns = 0

    def __call__(self) -> int:
        return self.ns + self.jumped_ns

    def passed(self) -> float:
        return (self.ns - NOW_NS) / 1e9


def needs_clock(implementation: Implementation) -> None:
    if implementation.own_clock:
        pytest.skip("its keys expire by the clock of its servers")


def part(log: IntakeLog, tenant: str = "default", feed: str = "location") -> LogPartition:
    """The partition of a feed."""
    return log.partitions[partition_of_feed(tenant, feed, len(log.partitions))]


def start(log: IntakeLog, tenant: str = "default", feed: str = "location") -> int:
    """The offset before the first of a feed's partition."""
    return Partition(partition_of_feed(tenant, feed, len(log.partitions))).start


def everything(log: IntakeLog) -> list[LogEntry]:
    """All entries of all partitions."""
    numbered = enumerate(log.partitions)
    return [entry for number, one in numbered for entry in one.read(Partition(number).start, 1000, 1 << 20)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=map(marked, LOGS))
def open_log(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Open]:
    opened: list[IntakeLog] = []

    def open_one(**limits: Any) -> IntakeLog:
        generous = {"min_free_bytes": 0, "min_free_ratio": 0.0}
        log = LOGS[request.param].open_log(
            tmp_path / "data", limits=LogLimits(**generous | limits), now_ns=clock, monotonic=clock.passed
        )
        opened.append(log)
        return log

    yield open_one
    for log in opened:
        log.close()


@pytest.fixture
def implementation(open_log: Open, request: pytest.FixtureRequest) -> Implementation:
    name: str = request.node.callspec.params["open_log"]
    return LOGS[name]


@pytest.fixture
def log(open_log: Open) -> IntakeLog:
    return open_log()


def test_what_is_appended_is_read_back_as_it_was(log: IntakeLog) -> None:
    plain = payload(b"\x00\xff raw", feed_version=7, format="ndjson")
    refused = payload(
        b"not json",
        kind=EntryKind.REFUSED,
        faults=(Fault("$.data[17]", "not_finite", "NaN is no number"), Fault("$", "x", "ü\n")),
    )
    for each in (plain, refused):
        log.append(each).result(5)
    entries = part(log).read(start(log), 10, 1 << 20)
    assert [entry.payload for entry in entries] == [plain, refused]
    assert isinstance(entries[1].payload.kind, EntryKind)


def test_places_rise_in_order_of_append_and_the_answer_names_them(log: IntakeLog) -> None:
    sent = [payload(b"%d" % n) for n in range(50)]
    answers = [future.result(5) for future in [log.append(each) for each in sent]]
    assert [answer.receipt for answer in answers] == [each.receipt for each in sent]
    seqs = [answer.seq for answer in answers]
    assert seqs == sorted(set(seqs))
    assert [(entry.seq, entry.payload) for entry in part(log).read(start(log), 100, 1 << 20)] == list(
        zip(seqs, sent, strict=True)
    )
    assert (part(log).first_seq(), part(log).last_seq()) == (seqs[0], seqs[-1])


def test_empty_log_reads_as_empty(log: IntakeLog) -> None:
    assert part(log).read(start(log), 10, 100) == []
    assert (part(log).first_seq(), part(log).last_seq()) == (0, start(log))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=st.integers(0, 14), max_count=st.integers(1, 15), max_bytes=st.integers(0, 900))
def test_read_stops_at_both_limits_but_never_before_the_first_entry(
    log: IntakeLog, after: int, max_count: int, max_bytes: int
) -> None:
    sizes = [0, 300, 5, 0, 70, 900, 1, 1, 1, 50, 250, 33]
    after += start(log)
    if part(log).last_seq() == start(log):
        for size in sizes:
            log.append(payload(b"x" * size)).result(5)
    held = part(log).read(start(log), 100, 1 << 20)
    rest = [entry for entry in held if entry.seq > after]
    got = part(log).read(after, max_count, max_bytes)
    assert got == rest[: len(got)]
    assert len(got) <= max_count
    assert bool(got) == bool(rest)
    taken = sum(len(entry.payload.body) for entry in got)
    assert taken <= max_bytes or len(got) == 1
    if len(got) < min(max_count, len(rest)):
        assert taken + len(rest[len(got)].payload.body) > max_bytes


@needs(Capability.RECEIPTS)
def test_receipt_is_found_by_its_tenant_only(log: IntakeLog) -> None:
    mine = payload(b"mine", tenant="acme")
    log.append(mine).result(5)
    found = log.find("acme", mine.receipt)
    assert found is not None and found.payload == mine
    assert log.find("default", mine.receipt) is None
    assert log.find("acme", "01234567-0000-7000-8000-000000000000") is None


def test_deletions_are_read_without_the_data_between_them(log: IntakeLog) -> None:
    kinds = [EntryKind.DATA, EntryKind.DELETE, EntryKind.REFUSED, EntryKind.DELETE, EntryKind.DATA, EntryKind.DELETE]
    seqs = [log.append(payload(b"%016x" % n, kind=kind)).result(5).seq for n, kind in enumerate(kinds)]
    found = part(log).deletions(start(log))
    assert [(entry.seq, entry.payload.body) for entry in found] == [(seqs[n], b"%016x" % n) for n in (1, 3, 5)]
    assert all(entry.payload.kind is EntryKind.DELETE for entry in found)
    assert [entry.seq for entry in part(log).deletions(seqs[3])] == [seqs[5]]
    assert part(log).deletions(seqs[5]) == []


def test_many_threads_and_tasks_append_at_once_and_nothing_is_lost(log: IntakeLog) -> None:
    async def tasks() -> list[int]:
        answers = await asyncio.gather(*[log.append_async(payload(b"task %d" % n)) for n in range(200)])
        return [answer.seq for answer in answers]

    with ThreadPoolExecutor(8) as pool:
        from_threads = [
            pool.submit(lambda n=n: log.append(payload(b"thread %d" % n)).result(5).seq) for n in range(200)
        ]
        from_tasks = asyncio.run(tasks())
        seqs = [future.result(5) for future in from_threads] + from_tasks
    assert len(set(seqs)) == 400
    assert {entry.seq for entry in part(log).read(start(log), 1000, 1 << 20)} == set(seqs)


def test_waiter_that_gave_up_hurts_nobody(log: IntakeLog) -> None:
    async def impatient() -> None:
        task = asyncio.create_task(log.append_async(payload(b"cancelled")))
        await asyncio.sleep(0)
        task.cancel()
        assert (await log.append_async(payload(b"patient"))).seq > 0

    asyncio.run(impatient())
    log.append(payload()).cancel()
    assert log.append(payload()).result(5).seq == part(log).last_seq()


def test_payload_that_cannot_be_written_fails_alone(log: IntakeLog) -> None:
    good, bad, also_good = (
        log.append(payload(b"good")),
        log.append(payload(feed="\ud800")),
        log.append(payload(b"also good")),
    )
    assert good.result(5).seq < also_good.result(5).seq
    assert bad.exception(5) is not None
    assert [entry.payload.body for entry in part(log).read(start(log), 10, 1000)] == [b"good", b"also good"]


@needs(Capability.IDEMPOTENCY)
def test_same_key_and_body_is_the_same_receipt_and_written_once(log: IntakeLog) -> None:
    first = payload(b"once")
    answer = log.append(first, idempotency_key="k").result(5)
    again = log.append(payload(b"once", received_ns=NOW_NS + 5), idempotency_key="k").result(5)
    assert (again.seq, again.receipt, again.received_ns) == (answer.seq, first.receipt, first.received_ns)
    assert (answer.replayed, again.replayed) == (False, True)
    assert len(part(log).read(start(log), 10, 1000)) == 1


@needs(Capability.IDEMPOTENCY)
def test_same_key_with_another_body_is_a_conflict(log: IntakeLog) -> None:
    log.append(payload(b"one"), idempotency_key="k").result(5)
    with pytest.raises(ConflictError):
        log.append(payload(b"two"), idempotency_key="k").result(5)
    assert len(part(log).read(start(log), 10, 1000)) == 1


@needs(Capability.IDEMPOTENCY)
def test_keys_belong_to_tenant_and_feed(log: IntakeLog) -> None:
    for tenant, feed in (("a", "x"), ("a", "y"), ("b", "x")):
        answer = log.append(payload(feed.encode(), tenant=tenant, feed=feed), idempotency_key="k").result(5)
        assert not answer.replayed
    assert len(everything(log)) == 3


@needs(Capability.IDEMPOTENCY)
def test_key_expires_after_seven_days(open_log: Open, clock: Clock, implementation: Implementation) -> None:
    needs_clock(implementation)
    log = open_log()
    log.append(payload(b"one"), idempotency_key="k").result(5)
    clock.ns += 7 * DAY_NS - 10**9
    assert log.append(payload(b"one"), idempotency_key="k").result(5).replayed
    clock.ns += 2 * 10**9
    assert not log.append(payload(b"two"), idempotency_key="k").result(5).replayed


@needs(Capability.IDEMPOTENCY)
@pytest.mark.parametrize("reopened", [False, True])
def test_a_clock_that_jumps_forward_expires_no_key(open_log: Open, clock: Clock, reopened: bool) -> None:
    log = open_log()
    log.append(payload(b"one"), idempotency_key="old").result(5)
    for jump in (9, 400):
        clock.jumped_ns = jump * DAY_NS
        if reopened:
            log.close()
            log = open_log()
        log.append(payload(b"two"), idempotency_key=f"new {jump}").result(5)
        assert log.append(payload(b"one"), idempotency_key="old").result(5).replayed
    clock.jumped_ns = 0
    assert log.append(payload(b"one"), idempotency_key="old").result(5).replayed


@needs(Capability.IDEMPOTENCY)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sends=st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=1)), max_size=12), together=st.booleans())
def test_idempotency_is_the_same_within_a_commit_and_across_commits(
    log: IntakeLog, sends: list[tuple[str, bytes]], together: bool
) -> None:
    feed = f"feed-{log.append(payload()).result(5).seq}"  # keys of its own for each example
    before = {entry.seq for entry in everything(log)}
    futures = []
    for key, body in sends:
        futures.append(log.append(payload(body, feed=feed), idempotency_key=key))
        if not together:
            futures[-1].exception(5)
    first: dict[str, tuple[bytes, int]] = {}
    for (key, body), future in zip(sends, futures, strict=True):
        error = future.exception(5)
        if key not in first:
            assert error is None and not future.result().replayed
            first[key] = (body, future.result().seq)
        elif body == first[key][0]:
            assert future.result().replayed and future.result().seq == first[key][1]
        else:
            assert isinstance(error, ConflictError)
    assert [entry.seq for entry in everything(log) if entry.seq not in before] == [seq for _, seq in first.values()]


@needs(Capability.ERASURE)
def test_trim_keeps_what_was_not_applied_and_what_is_young(open_log: Open, clock: Clock) -> None:
    log = open_log(keep_applied_s=3600)
    old = [log.append(payload(received_ns=NOW_NS)).result(5).seq for _ in range(10)]
    clock.ns += 3601 * 10**9
    young = [log.append(payload(received_ns=clock.ns)).result(5).seq for _ in range(5)]
    assert part(log).trim(old[3]) == 4
    assert part(log).first_seq() == old[4]
    assert part(log).trim(young[-1]) == 6
    assert part(log).trim(young[-1]) == 0
    assert [entry.seq for entry in part(log).read(start(log), 100, 1000)] == young


@needs(Capability.ERASURE)
def test_trim_deletes_the_oldest_applied_beyond_the_size_limit(open_log: Open) -> None:
    log = open_log(keep_bytes=1 << 20)
    seqs = [log.append(payload(b"x" * 10_000)).result(5).seq for _ in range(300)]
    assert part(log).trim(start(log)) == 0
    deleted = part(log).trim(seqs[-1])
    assert 150 < deleted < 250
    assert [entry.seq for entry in part(log).read(start(log), 1000, 1 << 30)] == seqs[deleted:]


@needs(Capability.ERASURE)
def test_place_is_not_reused_after_everything_was_trimmed_and_the_log_reopened(open_log: Open, clock: Clock) -> None:
    log = open_log(keep_applied_s=0)
    last = log.append(payload()).result(5).seq
    clock.ns += 1
    assert part(log).trim(last) == 1
    assert (part(log).first_seq(), part(log).last_seq()) == (0, last)
    log.close()
    reopened = open_log()
    assert part(reopened).last_seq() == last
    assert reopened.append(payload()).result(5).seq > last


def test_reopened_log_has_everything_that_was_acknowledged(open_log: Open) -> None:
    log = open_log()
    sent = [payload(b"%d" % n) for n in range(20)]
    seqs = [log.append(each).result(5).seq for each in sent]
    log.close()
    log.close()
    reopened = open_log()
    assert part(reopened).read(start(reopened), 100, 1 << 20) == list(map(LogEntry, seqs, sent))
    assert reopened.append(payload()).result(5).seq > seqs[-1]


@needs(Capability.IDEMPOTENCY)
def test_reopened_log_knows_its_keys(open_log: Open) -> None:
    log = open_log()
    sent = payload(b"once")
    log.append(sent, idempotency_key="k").result(5)
    log.close()
    assert open_log().append(sent, idempotency_key="k").result(5).replayed


def test_closed_log_acknowledges_nothing(open_log: Open) -> None:
    log = open_log()
    log.close()
    assert log.append(payload()).exception(5) is not None


def test_health_says_that_it_accepts_and_where_it_is(log: IntakeLog) -> None:
    last = log.append(payload(b"x" * 5000)).result(5).seq
    health = log.health()
    assert health.accepting and health.reason == ""
    assert (health.first_seq, health.last_seq) == (seq_of(last), seq_of(last))
    assert health.size_bytes > 5000
    assert health.free_bytes > 0


def test_a_feed_of_a_tenant_is_in_one_partition_and_its_offsets_are_of_it(log: IntakeLog) -> None:
    sent: dict[tuple[str, str], list[int]] = {}
    for n in range(120):
        key = (f"tenant-{n % 3}", f"feed-{n % 10}")
        sent.setdefault(key, []).append(log.append(payload(b"%d" % n, tenant=key[0], feed=key[1])).result(5).seq)
    assert sorted(entry.seq for entry in everything(log)) == sorted(seq for seqs in sent.values() for seq in seqs)
    for (tenant, feed), seqs in sent.items():
        [number] = {partition_of(seq) for seq in seqs}
        assert number == partition_of_feed(tenant, feed, len(log.partitions))
        assert seqs == sorted(set(seqs))
        read = log.partitions[number].read(Partition(number).start, 1000, 1 << 20)
        assert [entry.seq for entry in read if (entry.payload.tenant, entry.payload.feed) == (tenant, feed)] == seqs
    assert {partition_of(entry.seq) for entry in everything(log)} == set(range(len(log.partitions)))


@needs(Capability.RECEIPTS)
def test_a_receipt_is_found_in_whichever_partition_it_is(log: IntakeLog) -> None:
    for n in range(20):
        sent = payload(b"%d" % n, feed=f"feed-{n}")
        seq = log.append(sent).result(5).seq
        assert log.find("default", sent.receipt) == LogEntry(seq, sent)


@needs(Capability.REPAIR)
def test_an_entry_is_mended_in_whichever_partition_it_is(log: IntakeLog) -> None:
    for n in range(20):
        sent = payload(b"%d" % n, feed=f"feed-{n}")
        seq = log.append(sent).result(5).seq
        assert log.mend(seq, sent.body)
        assert not log.mend(seq, b"other bytes")


def test_readers_see_what_was_acknowledged_and_choose_before_they_read(
    log: IntakeLog, implementation: Implementation, tmp_path: Path
) -> None:
    sent = [payload(b"x" * n, kind=kind) for n, kind in enumerate([EntryKind.DATA, EntryKind.DELETE, EntryKind.DATA])]
    number = partition_of_feed("default", "location", len(log.partitions))
    reader = implementation.open_readers(tmp_path / "data")[number]
    for count, each in enumerate(sent, start=1):
        seq = log.append(each).result(5).seq
        assert reader.last_seq() == seq
        assert len(reader.read(start(log), 10, 1 << 20)) == count
    entries = part(log).read(start(log), 10, 1 << 20)
    expected = [
        Header(e.seq, "default", "location", e.payload.kind, len(e.payload.body), e.payload.received_ns)
        for e in entries
    ]
    assert reader.headers(start(log), 10) == expected
    assert reader.headers(entries[0].seq, 1) == expected[1:2]
    assert reader.entries_at([entries[0].seq, entries[2].seq, entries[2].seq + 1]) == [entries[0], entries[2]]
    assert reader.deletions(start(log)) == entries[1:2]
    assert (reader.first_seq(), reader.known_damages()) == (entries[0].seq, [])
    assert reader.self_check(whole=True) == SelfCheck(entries[-1].seq)
    reader.close()
    assert reader.last_seq() == entries[-1].seq


def test_every_capability_is_one_that_some_logs_have_and_some_lack() -> None:
    declared = [log.capabilities for log in LOGS.values()]
    assert frozenset.union(*declared) == EVERY_CAPABILITY
    assert frozenset.intersection(*declared) == frozenset()


@pytest.mark.parametrize("capability", Capability)
def test_a_log_does_what_it_declares_and_refuses_the_rest_clearly(
    log: IntakeLog, implementation: Implementation, capability: Capability
) -> None:
    sent = payload(b"kept")
    seq = log.append(sent).result(5).seq
    uses: dict[Capability, list[Callable[[], object]]] = {
        Capability.RECEIPTS: [lambda: log.find("default", sent.receipt), lambda: part(log).find("default", "x")],
        Capability.IDEMPOTENCY: [
            lambda: log.append(payload(b"keyed"), idempotency_key="k").result(5),
            lambda: asyncio.run(log.append_async(payload(b"keyed"), "k")),
        ],
        Capability.ERASURE: [lambda: part(log).trim(start(log)), lambda: part(log).erase([], start(log))],
        Capability.REPAIR: [lambda: log.mend(seq, b"other bytes")],
    }
    assert log.capabilities == implementation.capabilities
    for use in uses[capability]:
        if capability in implementation.capabilities:
            use()
        else:
            with pytest.raises(LogLacksError, match=r"^the log of this server \(\w+\) (cannot|takes no) \w+"):
                use()
            assert everything(log) == [LogEntry(seq, sent)]
