"""A mill is killed while it publishes a replay, and begins again on its disk or on an empty one: the store ends as if
nothing had happened."""

from collections.abc import Callable
from itertools import product
from shutil import rmtree
from typing import Any

import msgspec
import pytest

from tests.mill.house import House
from tests.mill.test_crash import SIGKILLED, run
from tests.mill.test_order import strip
from tests.mill.test_replay import PAYLOADS, build_with, record
from tests.support.rounds import rounds
from tidemill.model.ids import new_receipt
from tidemill.model.replay import Replay, ReplayRequest

POINTS = ("planned", "after_ledger", "after_points", "after_rollups", "after_outcomes", "after_changes", "published")
EVERY = list(product(POINTS, ("first", "last"), (True, False)))
CASES = rounds(0, 1) * EVERY or [(point, ("first", "last")[n % 2], n != 2) for n, point in enumerate(POINTS)]


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The tables of a house whose replay was not disturbed, by policy: filled by the first who asks."""
    return {}


def replayed(build: Callable[..., House], policy: str) -> House:
    """A house in which a replay is queued that changes what is accepted, what is replaced and whole windows."""
    house = build_with(build, policy, 1000, 55)
    for body in [*PAYLOADS, [record(0, 70), record(2, 3)]]:
        house.send("location", body, feed_version=2)
    house.work()
    asked = ReplayRequest(feed="location", version=3, dry_run=False, start_ns=0)
    replay = Replay(id=new_receipt(0), tenant=house.tenant, request=asked, state="queued", created_ns=0)
    house.replays.create(replay)
    return house


def tables(house: House) -> dict[str, Any]:
    """Everything that can be compared of two houses: not their ids, receipts and instants of change."""
    (replay,) = house.replays.list(house.tenant)
    assert (replay.state, replay.error) == ("done", "")
    rows: dict[str, Any] = strip(house.everything("rejections"))
    rows["rejections"] = [row | {"recovered_by": row["recovered_by"] == replay.id} for row in house.all("rejections")]
    rows["changes"] = [row for row in house.all("changes") if row["replay"] == replay.id]
    rows["restated"] = [row | {"restated_at": row["restated_at"] is None} for row in house.all("restated")]
    for row in (row for name in rows for row in rows[name]):
        for name in ("tenant", "series", "replay", "receipt"):
            row.pop(name, None)
    assert replay.result is not None
    found = msgspec.structs.replace(replay.result, points=(), windows=())
    changed = sorted((one.time_ns, str(one.old), str(one.new)) for one in replay.result.points)
    return {name: sorted(some, key=repr) for name, some in rows.items()} | {"difference": (found, changed)}


@pytest.mark.parametrize(("point", "policy", "disk_lost"), CASES)
def test_a_half_published_replay_is_ended(
    build: Callable[..., House], point: str, policy: str, disk_lost: bool, undisturbed: dict[str, Any]
) -> None:
    house = replayed(build, policy)
    assert run(house, f"replay.{point}").returncode == SIGKILLED
    assert house.state.manifests(), "what is being published is known without the disk"
    if disk_lost:
        rmtree(house.folder / "mill")
    assert run(house).returncode == 0
    if policy not in undisturbed:
        calm = replayed(build, policy)
        assert run(calm).returncode == 0
        undisturbed[policy] = tables(calm)
    assert tables(house) == undisturbed[policy]
    assert (house.state.manifests(), house.all("replay_plans")) == ([], [])
