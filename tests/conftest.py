"""How all tests run: properties with the same examples each time and no deadline (a busy machine is no fault of the
code), temporary folders in memory where there is room, and what takes long apart.

With TIDEMILL_TEST_PROFILE=fuzz the examples are others each time, and what breaks a property is kept in `.hypothesis`
and tried first by the next run (`scripts/fuzz.py`).
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.searching import FUZZ, STEADY, profile

settings.register_profile(STEADY, deadline=None, derandomize=True, print_blob=True)
settings.register_profile(FUZZ, deadline=None, derandomize=False, print_blob=True, max_examples=400)
settings.load_profile(profile())

ROOT = Path(__file__).parent
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30
SLOW_TIMEOUT_S = 400  # what takes 40 s alone takes minutes on a machine that does ten other things
# `make test` leaves these to `make test-faults`, as it leaves out tests/faults: they take the longest.
SLOW = {
    "api/test_analysis.py",
    "api/test_changes.py",
    "api/test_damaged.py",
    "api/test_deletions.py",
    "api/test_feed_trial.py",
    "api/test_flow.py",
    "api/test_forecasts.py",
    "api/test_hung_store.py",
    "api/test_large_files.py",
    "api/test_openapi.py",
    "api/test_replay_drafts.py",
    "api/test_schemathesis.py",
    "api/test_sockets.py",
    "api/test_store_being_made.py",
    "api/test_trial_worst.py",
    "backup/test_restore.py",
    "backup/test_stored.py",
    "backup/test_take.py",
    "cli/test_backup.py",
    "cli/test_feed_remove.py",
    "cli/test_health.py",
    "client/test_alone.py",
    "client/test_client.py",
    "client/test_commands.py",
    "client/test_export.py",
    "client/test_how_to_python.py",
    "client/test_import.py",
    "clients/test_influx_clients.py",
    "contract/test_engine_sinks.py",
    "decode/test_combinations.py",
    "deploy/test_guide.py",
    "decode/test_nested.py",
    "deploy/test_proxy.py",
    "e2e/test_meters.py",
    "mill/test_ahead.py",
    "mill/test_any_log.py",
    "mill/test_as_of.py",
    "mill/test_changes.py",
    "mill/test_columns.py",
    "mill/test_confirm.py",
    "mill/test_confirm_faults.py",
    "mill/test_crash.py",
    "mill/test_decide.py",
    "mill/test_deletion.py",
    "mill/test_deletion_parts.py",
    "mill/test_erase.py",
    "mill/test_fair.py",
    "mill/test_fold_history.py",
    "mill/test_fold_known.py",
    "mill/test_history.py",
    "mill/test_nulls.py",
    "mill/test_order.py",
    "mill/test_partitions.py",
    "mill/test_replay.py",
    "mill/test_retention.py",
    "mill/test_rollups_or_points.py",
    "mill/test_submissions.py",
    "mill/test_submissions_kept.py",
    "mill/test_trial.py",
    "mill/test_two_mills.py",
    "mill/test_verify.py",
    "mill/test_why.py",
    "mill/test_window_changes.py",
    "query/test_counters.py",
    "query/test_feed_files.py",
    "query/test_many_points.py",
    "query/test_wall_clock.py",
    "rules/test_history.py",
    "simulate/test_clients.py",
    "sources/test_poller.py",
    "sources/test_serve.py",
    "store/test_client.py",
    "store/test_engine_process.py",
    "store/test_session_reuse.py",
    "store/test_value_codec.py",
    "test_readme.py",
}

# Tests start Python many times. Compiling takes 0.6 s of a processor where a process imports all parts (1.7 s where no
# package is compiled either), and 10 s in each worker that collects the tests. So what is compiled is kept, also where
# the environment says otherwise.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Nearly all tests sync to disk, many times: in memory they take half as long. What disks do is tried in tests/faults.
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is `slow`."""
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        if path in SLOW or path.startswith("faults/"):
            item.add_marker(pytest.mark.slow)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))


def pytest_sessionstart() -> None:
    """Notice a file that moved."""
    assert all((ROOT / path).exists() for path in SLOW), "a slow test is not where tests/conftest.py says"
