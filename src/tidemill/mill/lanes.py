"""The entries of the log that wait to be applied, in one lane per tenant, and which of them are applied next.

A lane keeps the order of the log. No lane waits for another: a batch takes a share of about a second of each lane, and
an entry that is costly by itself is applied beside the batches of the other lanes (`beside.py`), one at a time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final, Literal

import msgspec

from tidemill.log.contract import Header
from tidemill.mill.costs import Costs
from tidemill.mill.progress import PartitionProgress
from tidemill.model.payload import EntryKind

MAX_PAYLOADS: Final = 10_000
MAX_BYTES: Final = 16 << 20
MAX_WAITING: Final = 100_000  # headers beyond the checkpoint, some 150 bytes each
BATCH_S: Final = 1.0
ALONE_S: Final = 2.0  # while no other lane waits
COSTLY_S: Final = 0.25


Waiting = Literal["waiting_for_store", "waiting_for_catalog"]


class Hold(msgspec.Struct, frozen=True):
    """Why the first entry of a lane is not applied now: its `seq`, the reason `why` in words, how often it was tried,
    and the time `until` (by the monotonic clock) before which it is not tried again. `since` is the count of the
    caller at the first try."""

    seq: int
    why: str
    tries: int
    until: float
    state: Waiting = "waiting_for_store"
    since: int = 0


class Lane:
    """The entries of one tenant that wait; `parked`: those of its feeds that are blocked; `served`: the turn in which
    the lane last had a batch of its own."""

    def __init__(self) -> None:
        self.waiting: deque[Header] = deque()
        self.parked: deque[Header] = deque()
        self.hold: Hold | None = None
        self.served = 0


class Lanes:
    """The lanes of all tenants. `progress` is what is applied already. Not thread-safe."""

    def __init__(self, costs: Costs, progress: PartitionProgress) -> None:
        self.costs = costs
        self._turn = 0
        self.away = ""  # the tenant whose first entry is being applied beside the batches of the others
        self._blocked: Mapping[tuple[str, str], int] = {}
        self.restart(progress)

    def restart(self, progress: PartitionProgress) -> None:
        """Remove all entries that wait: they are to be added again, from the checkpoint on."""
        self._lanes: dict[str, Lane] = {}
        self._through = dict(progress.ahead)
        self.scanned = progress.checkpoint
        self._count = 0

    @property
    def room(self) -> int:
        """How many more headers may be added."""
        return MAX_WAITING - self._count

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        return self._count

    def add(self, headers: Iterable[Header]) -> None:
        """Add entries, which follow those that were added before. Those that are applied already are left out."""
        for header in headers:
            self.scanned = header.seq
            if header.seq <= self._through.get(header.tenant, 0):
                continue
            lane = self._lanes.get(header.tenant)
            if lane is None:
                lane = self._lanes[header.tenant] = Lane()
            (lane.parked if self._is_parked(header) else lane.waiting).append(header)
            self._count += 1

    def mark_applied(self, seqs: Mapping[str, int]) -> None:
        """Mark everything of these tenants up to these offsets as applied."""
        for tenant, seq in seqs.items():
            lane = self._lanes.get(tenant)
            while lane is not None and lane.waiting and lane.waiting[0].seq <= seq:
                lane.waiting.popleft()
                self._count -= 1
            if lane is not None and (lane.hold is None or lane.hold.seq <= seq):
                lane.hold = None
                if not lane.waiting and not lane.parked:
                    del self._lanes[tenant]
            self._through[tenant] = max(seq, self._through.get(tenant, 0))

    def progress(self) -> PartitionProgress:
        """What is applied."""
        bounds = self._bounds()
        checkpoint = min([self.scanned, *bounds.values()])
        self._through = {tenant: seq for tenant, seq in self._through.items() if seq > checkpoint}
        ahead = {tenant: min(seq, bounds.get(tenant, seq)) for tenant, seq in self._through.items()}
        return PartitionProgress(checkpoint, {tenant: seq for tenant, seq in ahead.items() if seq > checkpoint})

    def block(self, feeds: Mapping[tuple[str, str], int]) -> bool:
        """Block these feeds (tenant and name) and no others: none of their entries is picked, and nothing of their
        tenants counts as applied beyond these offsets. The other entries of a tenant go on, in the log's order. Returns
        whether the blocks changed: then the progress may have changed, too."""
        if feeds == self._blocked:
            return False
        self._blocked = dict(feeds)
        for lane in self._lanes.values():
            every = sorted([*lane.parked, *lane.waiting], key=_seq)
            lane.parked = deque(header for header in every if self._is_parked(header))
            lane.waiting = deque(header for header in every if not self._is_parked(header))
            if lane.hold is not None and not any(header.seq == lane.hold.seq for header in lane.waiting):
                lane.hold = None
        return True

    def is_blocked(self, tenant: str) -> bool:
        """Whether any feed of a tenant is blocked: then applied payloads of the tenant may not count yet."""
        return any(blocked == tenant for blocked, _ in self._blocked)

    def _is_parked(self, header: Header) -> bool:
        return (header.tenant, header.feed) in self._blocked

    def _bounds(self) -> dict[str, int]:
        """The offset up to which everything may count as applied, of each tenant that has entries that wait or a feed
        that is blocked."""
        bounds = {
            tenant: min(entries[0].seq for entries in (lane.waiting, lane.parked) if entries) - 1
            for tenant, lane in self._lanes.items()
            if lane.waiting or lane.parked
        }
        for (tenant, _), offset in self._blocked.items():
            bounds[tenant] = min(offset, bounds.get(tenant, offset))
        return bounds

    def hold(self, tenant: str, hold: Hold) -> None:
        """Hold a lane back; the other lanes go on."""
        self._lanes[tenant].hold = hold

    def held(self, tenant: str) -> Hold | None:
        """The hold of a lane, if it is held or its first entry is being tried again."""
        lane = self._lanes.get(tenant)
        return lane.hold if lane else None

    def oldest_hold(self) -> Hold | None:
        """The hold of the oldest entry that is held."""
        holds = [lane.hold for lane in self._lanes.values() if lane.hold]
        return min(holds, key=lambda hold: hold.seq, default=None)

    def ready(self, now: float) -> bool:
        """Whether there is anything to apply now that is not costly."""
        return any(self._is_ready(lane, now) and not self._is_costly(lane) for lane in self._lanes.values())

    def suspects(self, is_suspect: Callable[[Header], bool], count: int, now: float) -> list[Header]:
        """The first `count` of the suspects, in the order of the log."""
        headers = [
            header
            for lane in self._lanes.values()
            if self._is_ready(lane, now)
            for header in list(lane.waiting)[:MAX_PAYLOADS]
            if is_suspect(header)
        ]
        return sorted(headers, key=_seq)[:count]

    def pick(self, at_most: int, now: float) -> list[Header]:
        """The next batch of cheap entries, in the order of the log; [] when none is ready. Every second turn it is an
        entry that is being tried again, alone."""
        ready = [lane for lane in self._lanes.values() if self._is_ready(lane, now)]
        cheap = [lane for lane in ready if not self._is_costly(lane)]
        tried = [lane for lane in cheap if lane.hold]
        batch = _Batch(self.costs, at_most, alone=len(ready) == 1)
        self._turn += 1
        if tried and self._turn % 2:
            batch.take(min(tried, key=_served), batch.left_s, first=True)
            return self._served(batch)
        fresh = [lane for lane in cheap if not lane.hold]
        turned = self._turn % (len(fresh) or 1)
        fresh = fresh[turned:] + fresh[:turned]  # a batch may be full before the last had its share
        for share_s in (batch.left_s / (len(fresh) or 1), batch.left_s):
            for lane in fresh:
                batch.take(lane, share_s)
        return sorted(batch.taken, key=_seq)

    def pick_costly(self, now: float) -> list[Header]:
        """The first entry of the lane that has waited longest for a costly entry; [] when none is ready. The lane is
        away until `return_lane`, also when all lanes are restarted."""
        ready = [lane for lane in self._lanes.values() if self._is_ready(lane, now) and self._is_costly(lane)]
        if not ready:
            return []
        self._turn += 1
        lane = min(ready, key=_served)
        lane.served, self.away = self._turn, lane.waiting[0].tenant
        return [lane.waiting[0]]

    def return_lane(self, header: Header) -> bool:
        """End the absence of the lane that was away for this entry; returns whether the entry is still its first. It is
        not where the lanes were restarted from further back: then the entries before it are applied first, and this
        entry once more."""
        self.away = ""
        lane = self._lanes.get(header.tenant)
        return lane is not None and bool(lane.waiting) and lane.waiting[0].seq == header.seq

    def _served(self, batch: "_Batch") -> list[Header]:
        for header in batch.taken:
            self._lanes[header.tenant].served = self._turn
        return batch.taken

    def _is_costly(self, lane: Lane) -> bool:
        """Whether the first entry of a lane is costly. A deletion never is: only the loop itself may apply it."""
        first = lane.waiting[0]
        return first.kind is not EntryKind.DELETE and self.costs.estimate_s(first) > COSTLY_S

    def _is_ready(self, lane: Lane, now: float) -> bool:
        if not lane.waiting or lane.waiting[0].tenant == self.away:
            return False
        return lane.hold is None or lane.hold.until <= now


class _Batch:
    """A batch that is being put together, within bounds of count, bytes and seconds. `alone`: it is of the only lane
    that waits, so its entries count by what they cost lately, even where that is less than their size says."""

    def __init__(self, costs: Costs, at_most: int, *, alone: bool) -> None:
        self.taken: list[Header] = []
        self.left_s = ALONE_S if alone else BATCH_S
        self._expect_s = costs.expect_s if alone else costs.estimate_s
        self._costs = costs
        self._left = min(at_most, MAX_PAYLOADS)
        self._left_bytes = MAX_BYTES
        self._from: dict[int, int] = {}  # by lane, how many of its entries were taken

    def take(self, lane: Lane, share_s: float, *, first: bool = False) -> None:
        """Take entries of a lane that cost `share_s` seconds in sum; `first`: its first entry whatever that costs. Of a
        lane whose first entry is being tried again, that entry only."""
        begun = self._from.get(id(lane), 0)
        number = begun
        for header in islice(lane.waiting, begun, None):
            cost_s = self._expect_s(header)
            small = header.size_bytes <= self._left_bytes or not self.taken
            cheap = self._costs.estimate_s(header) <= COSTLY_S or header.kind is EntryKind.DELETE
            fits = cheap and small and (cost_s <= min(share_s, self.left_s) or not self.taken)
            if not (self._left and (fits or (first and not self.taken))) or (lane.hold and number):
                break
            number += 1
            share_s -= cost_s
            self.left_s -= cost_s
            self._left -= 1
            self._left_bytes -= header.size_bytes
            self.taken.append(header)
        self._from[id(lane)] = number


def _seq(header: Header) -> int:
    return header.seq


def _served(lane: Lane) -> int:
    return lane.served
