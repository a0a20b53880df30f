"""A crash names its suspects: tried again whole, then in ever shorter batches, then alone, then set aside."""

from pathlib import Path

from tests.log.payloads import payload
from tidemill.log.contract import Header
from tidemill.mill.crash_loop import CrashLoopGuard
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state_files import FileMillState
from tidemill.model.payload import EntryKind, LogEntry


def entries(first: int, count: int) -> list[LogEntry]:
    return [LogEntry(seq, payload()) for seq in range(first, first + count)]


def started(path: Path, position: int) -> CrashLoopGuard:
    guard = CrashLoopGuard(FileMillState(path))
    guard.resume(PartitionProgress(position))
    return guard


def test_after_one_crash_the_same_batch_is_tried_again(tmp_path: Path) -> None:
    started(tmp_path / "a", 0).begin(entries(1, 5000))
    assert started(tmp_path / "a", 0).limit(PartitionProgress(0)) == 0


def test_after_every_further_crash_the_batch_is_cut(tmp_path: Path) -> None:
    started(tmp_path / "a", 0).begin(entries(1, 5000))
    started(tmp_path / "a", 0).begin(entries(1, 5000))
    guard = started(tmp_path / "a", 0)
    assert guard.limit(PartitionProgress(0)) == 312
    guard.begin(entries(1, 312))
    assert guard.limit(PartitionProgress(4999)) == 312, "the rest of the batch is suspect, too"
    assert guard.limit(PartitionProgress(5000)) == 0


def test_the_culprit_is_found_wherever_it_is(tmp_path: Path) -> None:
    """The whole loop, with a process that dies on payload 777 of 1,000."""
    position, crashes = 0, 0
    while True:
        guard = started(tmp_path / "a", position)
        crashed = False
        while position < 1000 and not crashed:
            batch = entries(position + 1, min(guard.limit(PartitionProgress(position)) or 1000, 1000 - position))
            if guard.is_poison(batch):
                assert [entry.seq for entry in batch] == [777]
                assert crashes < 12
                return
            guard.begin(batch)
            crashed = any(entry.seq == 777 for entry in batch)
            position = position if crashed else batch[-1].seq
        assert crashed
        crashes += 1


def test_two_crashes_of_a_long_batch_do_not_condemn_its_first_payload(tmp_path: Path) -> None:
    for _ in range(2):
        started(tmp_path / "a", 0).begin(entries(1, 16))
    guard = started(tmp_path / "a", 0)
    assert guard.limit(PartitionProgress(0)) == 1
    assert not guard.is_poison(entries(1, 1))


def test_an_attempt_that_was_finished_is_no_crash(tmp_path: Path) -> None:
    started(tmp_path / "a", 0).begin(entries(1, 1))
    started(tmp_path / "a", 0).begin(entries(1, 1))
    guard = started(tmp_path / "a", 1)
    assert not guard.is_poison(entries(1, 1))
    assert guard.limit(PartitionProgress(1)) == 0


def test_a_damaged_attempt_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a" / "mill.attempt").write_bytes(b"{")
    assert started(tmp_path / "a", 0).limit(PartitionProgress(0)) == 0


def test_an_end_while_the_store_is_waited_for_is_no_crash(tmp_path: Path) -> None:
    for _ in range(5):
        guard = started(tmp_path / "a", 0)
        guard.begin(entries(1, 1))
        guard.forgive()
    assert not started(tmp_path / "a", 0).is_poison(entries(1, 1))
    for _ in range(2):
        started(tmp_path / "a", 0).begin(entries(1, 1))
    assert started(tmp_path / "a", 0).is_poison(entries(1, 1))


def test_what_was_counted_before_is_not_forgiven(tmp_path: Path) -> None:
    for _ in range(2):
        started(tmp_path / "a", 0).begin(entries(1, 5000))
    guard = started(tmp_path / "a", 0)
    guard.begin(entries(1, 312))
    guard.forgive()
    again = started(tmp_path / "a", 0)
    assert again.limit(PartitionProgress(0)) == 312, "it stays cut"


def test_an_end_by_force_after_it_was_told_to_stop_is_no_crash(tmp_path: Path) -> None:
    for _ in range(5):
        guard = started(tmp_path / "a", 0)
        guard.forgive_stop()
        guard.begin(entries(1, 1))
    assert not started(tmp_path / "a", 0).is_poison(entries(1, 1))


def test_of_a_batch_of_some_tenants_only_theirs_are_suspected(tmp_path: Path) -> None:
    batch = [LogEntry(seq, payload(tenant=tenant)) for seq, tenant in ((3, "a"), (5, "b"), (9, "a"))]
    started(tmp_path / "a", 0).begin(batch)
    guard = started(tmp_path / "a", 0)
    found = {(t, s) for t in "abc" for s in range(1, 12) if guard.is_suspect(Header(s, t, "f", EntryKind.DATA, 1))}
    assert {(3, "a"), (5, "b"), (9, "a")} <= {(s, t) for t, s in found}
    assert not any(t == "c" or s > 9 or (t == "b" and s > 5) for t, s in found)
    assert guard.has_suspects(PartitionProgress(2, {"a": 9}))
    assert not guard.has_suspects(PartitionProgress(2, {"a": 9, "b": 5}))


def test_an_attempt_of_an_older_version_suspects_all_up_to_its_last(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a" / "mill.attempt").write_bytes(
        b'{"first":3,"last":9,"count":7,"crashes":1,"suspect_until":0,"limit":0}'
    )
    guard = started(tmp_path / "a", 2)
    assert guard.limit(PartitionProgress(2)) == 1
    assert guard.is_suspect(Header(9, "any", "f", EntryKind.DATA, 1))
    assert not guard.is_suspect(Header(10, "any", "f", EntryKind.DATA, 1))
    assert not guard.has_suspects(PartitionProgress(9))


COSTLY = LogEntry(3, payload(tenant="costly"))


def suspected(path: Path, position: int) -> list[int]:
    guard = started(path, position)
    owners = {1: "default", 2: "default", 3: "costly", 4: "costly", 5: "default"}
    assert guard.has_suspects(PartitionProgress(position))
    return [seq for seq, name in owners.items() if guard.is_suspect(Header(seq, name, "f", EntryKind.DATA, 1))]


def test_what_is_applied_beside_the_loop_is_suspected_with_the_batch_and_after_it(tmp_path: Path) -> None:
    guard = started(tmp_path / "a", 0)
    guard.begin_beside([COSTLY])
    guard.begin(entries(1, 2))
    assert suspected(tmp_path / "a", 0) == [1, 2, 3]
    guard.end_batch()
    assert suspected(tmp_path / "a", 2) == [3]
    alone = started(tmp_path / "a", 2)
    assert not alone.is_poison([COSTLY])
    alone.begin([COSTLY])
    assert started(tmp_path / "a", 2).is_poison([COSTLY])


def test_what_was_applied_beside_the_loop_is_suspected_no_more(tmp_path: Path) -> None:
    guard = started(tmp_path / "a", 0)
    guard.begin_beside([COSTLY])
    guard.end_beside()
    guard.begin(entries(1, 1))
    assert suspected(tmp_path / "a", 0) == [1]
