"""Where the mill is survives, and what cannot be read means the beginning."""

import os
from pathlib import Path

import pytest

from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.errors import LogUnavailableError, StartupError
from tidemill.mill.checkpoint import Checkpoint
from tidemill.mill.progress import PartitionProgress, reconcile
from tidemill.mill.state import Attempt, PublishManifest
from tidemill.mill.state_files import FileMillState
from tidemill.mill.status import Heartbeat, MillStatus
from tidemill.model.replay import ReplayOutcome


def test_a_saved_position_is_read_back(tmp_path: Path) -> None:
    Checkpoint.applied(FileMillState(tmp_path / "run")).save(123_456_789_012)
    assert Checkpoint.applied(FileMillState(tmp_path / "run")).seq == 123_456_789_012


@pytest.mark.parametrize("content", [b"", b"7", b"tidemill-position-1 7 1\n", b"\xff\xfe", b"tidemill-position-1 x y"])
def test_a_damaged_position_means_the_beginning(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "position").write_bytes(content)
    assert FileMillState(tmp_path).progress() == PartitionProgress()


def test_a_changed_digit_is_noticed(tmp_path: Path) -> None:
    state, path = FileMillState(tmp_path), tmp_path / "position"
    state.save_progress(PartitionProgress(4711))
    path.write_bytes(path.read_bytes().replace(b"4711", b"9711"))
    assert state.progress() == PartitionProgress()


def test_a_store_that_knows_less_is_filled_from_where_it_ends() -> None:
    assert reconcile(500, in_store=120, first_seq=1, last_seq=600) == 120


def test_a_store_that_knows_more_is_applied_again_from_the_position() -> None:
    assert reconcile(500, in_store=550, first_seq=1, last_seq=600) == 500


@pytest.mark.parametrize(("position", "in_store"), [(500, 500), (0, 500), (500, 0)])
@pytest.mark.parametrize("last_seq", [0, 3, 499])
def test_a_log_that_ends_before_what_was_applied_is_refused(position: int, in_store: int, last_seq: int) -> None:
    with pytest.raises(StartupError, match=r"up to 500 .* TIDEMILL_ACCEPT_LOSS=500"):
        reconcile(position, in_store=in_store, first_seq=0, last_seq=last_seq)
    with pytest.raises(StartupError):
        reconcile(position, in_store=in_store, first_seq=0, last_seq=last_seq, accepted=499)


def test_a_loss_that_is_accepted_waits_for_the_log_to_go_on_above_it() -> None:
    with pytest.raises(LogUnavailableError):
        reconcile(500, in_store=500, first_seq=1, last_seq=3, accepted=500)
    assert reconcile(500, in_store=500, first_seq=1, last_seq=500, accepted=500) == 500


def test_a_write_that_falls_short_keeps_the_old_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = FileMillState(tmp_path)
    checkpoint = Checkpoint.applied(state)
    checkpoint.save(7)
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, content: write(descriptor, content[:5]))
    with pytest.raises(OSError, match="only 5 of"):
        checkpoint.save(8)
    assert (checkpoint.seq, state.progress().checkpoint) == (7, 7)


def test_what_a_trimmed_log_cannot_give_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert reconcile(500, in_store=0, first_seq=301, last_seq=600) == 0
    assert "payloads 1 to 300 are only in backups" in caplog.text


def test_tenants_ahead_of_the_checkpoint_are_saved_and_those_behind_it_are_not(tmp_path: Path) -> None:
    state, path = FileMillState(tmp_path), tmp_path / "position"
    checkpoint = Checkpoint.applied(state)
    checkpoint.save(7, {"ahead": 9, "behind": 7, "Ähead \n": 12})
    found = state.progress()
    assert found == PartitionProgress(7, {"ahead": 9, "Ähead \n": 12}) == checkpoint.progress
    assert (found.highest, found.through("ahead"), found.through("other")) == (12, 9, 7)
    assert found.applied("ahead", 9) and not found.applied("ahead", 10) and not found.applied("other", 8)
    text = path.read_bytes()
    for at in range(len(text) - 1):
        path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        assert state.progress() in (PartitionProgress(), found), "a flipped bit is noticed"


def test_the_form_of_older_versions_is_read_and_written_while_nobody_is_ahead(tmp_path: Path) -> None:
    path = tmp_path / "position"
    path.write_bytes(b"tidemill-position-1 4711 3903472759\n")
    assert FileMillState(tmp_path).progress() == PartitionProgress(4711)
    Checkpoint.applied(FileMillState(tmp_path)).save(4711, {"a": 4711})
    assert path.read_bytes() == b"tidemill-position-1 4711 3903472759\n"


def test_a_log_that_ends_before_a_tenant_that_was_ahead_is_refused() -> None:
    with pytest.raises(StartupError, match="up to 90 "):
        reconcile(50, in_store=50, first_seq=1, last_seq=60, ahead=90)


def test_an_empty_state_begins_at_the_beginning_of_its_partition(tmp_path: Path) -> None:
    state = FileMillState(tmp_path / "none", start=7 << 40)
    assert state.progress() == state.confirmed() == PartitionProgress(7 << 40)
    assert (state.attempt(), state.heartbeat(), state.telemetry(), state.manifests()) == (None, None, None, [])


def test_what_is_saved_is_read_back_by_others(tmp_path: Path) -> None:
    state, other = FileMillState(tmp_path), FileMillState(tmp_path)
    attempt = Attempt(first=1, last=5, count=5, through={"a": 5})
    state.save_attempt(attempt)
    state.save_confirmed(PartitionProgress(4))
    state.retention_clock.save(b"{}")
    state.beat(MillStatus(state="idle", looped_at_ns=8, last_error="x"))
    assert (other.attempt(), other.confirmed(), other.retention_clock.load()) == (attempt, PartitionProgress(4), b"{}")
    assert other.heartbeat() == Heartbeat(8, "idle")
    status = other.telemetry()
    assert status is not None and status.last_error == "x"


def test_what_is_published_outlives_the_folder_and_is_of_one_partition(tmp_path: Path) -> None:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    manifest = PublishManifest(
        replay="r", tenant="t", feed="f", version=1, now_ns=2, at_seq=3, at_idx=4, every=5, late=6,
        difference=ReplayOutcome(records=1),
    )  # fmt: skip
    for _ in range(2):
        FileMillState(tmp_path / "mill", 0, catalog).save_manifest(manifest)
    anew = FileMillState(tmp_path / "empty", 0, catalog)
    assert anew.manifests() == [manifest]
    assert FileMillState(tmp_path / "mill-1", 1 << 40, catalog).manifests() == []
    for _ in range(2):
        anew.remove_manifest(manifest)
    assert anew.manifests() == []
    catalog.close()
