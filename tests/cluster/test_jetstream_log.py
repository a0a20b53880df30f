"""What is particular to the log over JetStream: its nodes, its parts, its erasure, its guards."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.log.payloads import payload
from tests.support.nats import NatsCluster, needs_nats, running_nats
from tests.support.rounds import rounds
from tidemill.errors import LogCorruptError, LogUnavailableError, StartupError
from tidemill.log.jetstream import JetStreamLog, parse_log_address
from tidemill.log.limits import LogLimits
from tidemill.log.opening import link_to, open_cluster_log, open_cluster_partition_reader, open_cluster_reader

pytestmark = [pytest.mark.slow, needs_nats]

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0)


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with running_nats(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster


def opened(nats: NatsCluster, name: str, known: int = 0, limits: LogLimits = LIMITS) -> JetStreamLog:
    log = open_cluster_log(parse_log_address(nats.url(name)), [known], limits=limits)
    assert isinstance(log, JetStreamLog)
    return log


def bytes_on(nats: NatsCluster, text: bytes) -> set[str]:
    """The nodes that hold a text in any file."""
    files = [(node, path) for node in nats.nodes for path in (node.folder / "data").rglob("*") if path.is_file()]
    return {node.name for node, path in files if text in path.read_bytes()}


def test_body_of_64_mib_travels_in_parts_and_is_one_entry(nats: NatsCluster) -> None:
    log = opened(nats, "parts")
    before, after = payload(b"before"), payload(b"after")
    large = payload(os.urandom(1 << 20) * 64)
    odd = payload(os.urandom((2 << 20) + 17))
    futures = [log.append(each) for each in (before, large, odd, after)]
    futures.append(log.append(payload(b"z")))
    seqs = [future.result(120).seq for future in futures]
    assert seqs == sorted(seqs)
    reader = open_cluster_partition_reader(parse_log_address(nats.url("parts")), 0)
    assert [header.size_bytes for header in reader.headers(0, 10)] == [6, 64 << 20, (2 << 20) + 17, 5, 1]
    entries = reader.read(0, 3, 1 << 30)
    assert [
        (entry.payload == sent, entry.damage) for entry, sent in zip(entries, (before, large, odd), strict=True)
    ] == [(True, "")] * 3
    assert reader.entries_at(seqs[2:4])[0].payload == odd
    reader.close()
    log.close()


def test_bytes_of_an_erased_entry_are_on_no_node_once_it_says_so(nats: NatsCluster) -> None:
    log = opened(nats, "erasing")
    kept, secret = payload(b"stays-here"), payload(b"secret-text " * 200_000)
    seqs = [log.append(each).result(60).seq for each in (kept, secret)]
    assert bytes_on(nats, b"secret-text") == {"n0", "n1", "n2"}
    assert not log.erase(seqs[1:], seqs[1]), "bytes are still in the logs of the replicas"
    assert log.erased() == 0
    assert [entry.seq for entry in log.read(0, 10, 1 << 30)] == seqs[:1]
    assert (log.find("default", secret.receipt), log.last_seq()) == (None, seqs[1])
    if rounds(0, 1):
        deadline = time.monotonic() + 600
        while not log.erase(seqs[1:], seqs[1]):
            assert time.monotonic() < deadline
            time.sleep(5)
        assert bytes_on(nats, b"secret-text") == set()
        assert bytes_on(nats, b"stays-here") and log.erased() == seqs[1]
    log.close()


def test_key_record_expires_by_itself_and_two_processes_take_a_key_once(nats: NatsCluster) -> None:
    logs = [opened(nats, "keys") for _ in range(2)]
    sent = [payload(b"same") for _ in range(20)]
    answers = [logs[n % 2].append(each, idempotency_key="k") for n, each in enumerate(sent)]
    assert sorted(future.result(30).replayed for future in answers) == [False] + [True] * 19
    assert len({future.result().receipt for future in answers}) == 1
    logs.append(opened(nats, "keys", limits=LogLimits(keep_keys_s=1, min_free_bytes=0)))
    assert not logs[2].append(payload(b"same"), idempotency_key="short").result(30).replayed
    deadline = time.monotonic() + 60
    while logs[0].append(payload(b"same"), idempotency_key="short").result(30).replayed:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(logs[0].read(0, 100, 1 << 20)) == 3
    for log in logs:
        log.close()


def test_stream_that_lost_its_end_refuses_payloads_and_is_read(nats: NatsCluster) -> None:
    log = opened(nats, "lost")
    last = [log.append(payload(b"%d" % n)).result(30).seq for n in range(3)][-1]
    log.close()
    for known in (last + 5, last + 5):
        log = opened(nats, "lost", known)
        assert isinstance(log.append(payload()).exception(5), LogCorruptError)
        health = log.health()
        assert not health.accepting and f"entries {last + 1} to {last + 5} are lost" in health.reason
        assert len(log.read(0, 10, 1000)) == 3
        log.close()
    _api(nats, "STREAM.DELETE.lost_LOG_0")
    log = opened(nats, "lost")
    assert "ends at 0 but was durable up to 3" in log.health().reason, "the mark outlives the stream"
    log.close()


def test_stream_that_went_back_while_it_is_open_is_noticed_by_its_next_number(nats: NatsCluster) -> None:
    log = opened(nats, "back")
    last = [log.append(payload(b"%d" % n)).result(30).seq for n in range(3)][-1]
    config = _api(nats, "STREAM.INFO.back_LOG_0")["config"]
    _api(nats, "STREAM.DELETE.back_LOG_0")
    _api(nats, "STREAM.CREATE.back_LOG_0", config)
    error = log.append(payload()).exception(30)
    assert isinstance(error, LogCorruptError) and f"seq {last} was acknowledged" in error.message
    assert not log.health().accepting
    log.close()


def test_log_with_another_number_of_partitions_or_another_stream_is_refused(nats: NatsCluster) -> None:
    address = parse_log_address(nats.url("count"))
    open_cluster_log(address, [0, 0], limits=LIMITS).close()
    with pytest.raises(StartupError, match=r"has 2 partitions.*TIDEMILL_PARTITIONS=2"):
        open_cluster_log(address, [0], limits=LIMITS)
    _api(nats, "STREAM.CREATE.other_LOG_0", {"name": "other_LOG_0", "subjects": ["other.>"], "num_replicas": 1})
    with pytest.raises(StartupError, match="another name"):
        opened(nats, "other")


def _api(nats: NatsCluster, subject: str, request: dict[str, Any] | None = None) -> Any:
    link = link_to(tuple(nats.servers))
    answer = link.call(_api, lambda: link.api(subject, request))
    link.release(_api)
    return answer


def test_nodes_that_do_not_sync_each_write_or_cannot_be_asked_are_refused(tmp_path: Path, nats: NatsCluster) -> None:
    with running_nats(tmp_path, 1, sync_always=(False,)) as lazy:
        with pytest.raises(StartupError, match=r"node n0 does not sync.*`sync_interval: always`"):
            opened(lazy, "tidemill")
        url, port = lazy.url(), lazy.nodes[0].port
    hosts = nats.hosts
    two = ",".join(node.monitor for node in nats.nodes[:2])
    with pytest.raises(StartupError, match="2 of 3 nodes answered"):
        open_cluster_log(parse_log_address(f"nats://{hosts}?monitor={two}"), [0], limits=LIMITS)
    with pytest.raises(StartupError, match=r"0 of 1 nodes answered.*name every monitor"):
        open_cluster_log(parse_log_address(url), [0], limits=LIMITS)
    monitors = ",".join(node.monitor for node in nats.nodes)
    with pytest.raises(StartupError, match=rf"cannot be opened.*127\.0\.0\.1:{port} takes the connection"):
        open_cluster_log(parse_log_address(f"nats://u:pw@127.0.0.1:{port}?monitor={monitors}"), [0], limits=LIMITS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://a", "begin with nats://"),
        ("nats://a:b", "not host:port"),
        ("nats://a:99999", "not host:port"),
        ("nats://", "not host:port"),
        ("nats://a,,b", "not host:port"),
        ("nats://a/x.y", "letters, digits"),
        ("nats://a?moniter=http://a", "no option"),
        ("nats://a?monitor=a:8222", "begin with http"),
        ("nats://u:secret@a:0", "not host:port"),
    ],
)
def test_address_that_is_none_is_refused_with_an_example(text: str, why: str) -> None:
    with pytest.raises(StartupError, match=why) as refused:
        parse_log_address(text)
    assert "nats://nats-0:4222" in refused.value.message and "secret" not in refused.value.message


def test_address_has_defaults() -> None:
    address = parse_log_address("nats://a,b:4223,u:p@c/mill")
    assert address.servers == ("nats://a:4222", "nats://b:4223", "nats://u:p@c:4222")
    assert address.monitors == ("http://a:8222", "http://b:8222", "http://c:8222")
    assert (address.name, parse_log_address("nats://a").name) == ("mill", "tidemill")


def test_killed_leader_under_load_loses_nothing_doubles_nothing_and_tears_nothing(nats: NatsCluster) -> None:
    """Kill -9 the leader of the stream while threads append pairs and keyed payloads, and start it again."""
    log = opened(nats, "faults")
    acknowledged: dict[str, int] = {}
    moments: list[float] = []
    ended = threading.Event()

    def send(number: int) -> None:
        count = 0
        while not ended.is_set():
            sent = payload(b"x" * (100 if number else (1 << 20) + 100))
            key = f"{number}-{count}" if number % 4 == 3 else None
            try:
                answer = log.append(sent, idempotency_key=key).result(60)
            except LogUnavailableError:
                continue
            assert answer.receipt == sent.receipt
            acknowledged[answer.receipt] = answer.seq
            moments.append(time.monotonic())
            count += 1
            if not number:
                time.sleep(0.05)

    with ThreadPoolExecutor(8) as pool:
        senders = [pool.submit(send, number) for number in range(8)]
        for _ in range(rounds(1, 10)):
            before = len(moments)
            wait_for(lambda before=before: len(moments) > before + 200)
            leader = nats.leader_of("faults_LOG_0")
            leader.signal(signal.SIGKILL)
            killed = time.monotonic()
            wait_for(lambda killed=killed: moments[-1] > killed + 0.5)
            leader.start()
            nats.await_ready()
        ended.set()
        for sender in senders:
            sender.result(120)
    ordered = sorted(moments)
    gap = max(later - earlier for earlier, later in itertools.pairwise(ordered))
    print(f"{len(acknowledged)} acknowledged; the longest gap was {gap:.1f} s")
    entries = {}
    reader = open_cluster_reader(parse_log_address(nats.url("faults")), 1).partitions[0]
    after = 0
    while batch := reader.read(after, 1000, 8 << 20):
        for entry in batch:
            assert entry.payload.receipt not in entries, "a payload is in the log twice"
            assert not entry.damage
            entries[entry.payload.receipt] = entry.seq
        after = batch[-1].seq
    assert {receipt: entries.get(receipt) for receipt in acknowledged} == acknowledged
    reader.close()
    log.close()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
