"""A stored forecast, and the fit of one as a job: a kind of job that a worker runs.

A forecast derives from points. So it says which points: of which series and span of time, of which payloads, and up to
which offset deletions were applied before these points were read. `derives_from` decides which deletions concern it.
"""

import zlib
from collections.abc import Iterable
from typing import ClassVar, Final, Literal

import msgspec

from tidemill.model.deletion import Deletion
from tidemill.model.job import Job, Role

MAX_OFFSETS: Final = 10_000  # payloads that a forecast names one by one


class ForecastRequest(msgspec.Struct, frozen=True):
    """What to forecast: a series by its id, and the parameters of `GET /v1/series/{id}/forecast` as texts by name.
    `key`: the Idempotency-Key of the request ("": none)."""

    series: str
    parameters: dict[str, str] = {}
    key: str = ""


class FitResult(msgspec.Struct, frozen=True):
    """The id of the forecast that a fit stored."""

    forecast: str


class Fit(Job[ForecastRequest, FitResult], frozen=True, kw_only=True):
    """The fit of a forecast that is stored under the id of this job. The job itself holds no value."""

    PREFIX: ClassVar[str] = "fits/"
    ROLE: ClassVar[Role] = "worker"

    kind: Literal["forecast"] = "forecast"


class UsedPayloads(msgspec.Struct, frozen=True):
    """The payloads of the points that a forecast was made of: offsets from `lowest` to `highest` (0: none), `count` of
    them. `packed` names each; it is empty where there are more than MAX_OFFSETS."""

    count: int
    lowest: int
    highest: int
    packed: bytes = b""

    def includes(self, offset: int) -> bool:
        """Whether a payload is among them; true also where it may be."""
        if not self.lowest <= offset <= self.highest:
            return False
        return not self.packed or offset in _unpacked(self.packed)


def used_payloads(offsets: Iterable[int], count: int, lowest: int, highest: int) -> UsedPayloads:
    """UsedPayloads of `count` payloads; `offsets` are all of them, or more than MAX_OFFSETS of them."""
    ordered = sorted(offsets)
    if len(ordered) > MAX_OFFSETS:
        return UsedPayloads(count, lowest, highest)
    steps = [after - before for before, after in zip([0, *ordered], ordered, strict=False)]
    return UsedPayloads(count, lowest, highest, zlib.compress(msgspec.json.encode(steps)))


def _unpacked(packed: bytes) -> set[int]:
    offset, offsets = 0, set()
    for step in msgspec.json.decode(zlib.decompress(packed), type=list[int]):
        offset += step
        offsets.add(offset)
    return offsets


class StoredForecast(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast as the catalog keeps it. `answer` is the compressed JSON of the forecast (`ForecastAnswer`).

    `first_ns` to `last_ns` (both included): the span of the points it was made of. `applied`: the offset up to which
    everything of the feed was applied before these points were read. `version`: that of the software.
    """

    id: str
    tenant: str
    created_ns: int
    request: ForecastRequest
    feed: str
    feed_version: int
    name: str
    field: str
    tags: dict[str, str]
    first_ns: int
    last_ns: int
    applied: int
    payloads: UsedPayloads
    version: str
    answer: bytes

    @property
    def body(self) -> bytes:
        """The JSON of the forecast."""
        return zlib.decompress(self.answer)


def packed_answer(body: bytes) -> bytes:
    """The JSON of a forecast as it is stored."""
    return zlib.compress(body)


class KnownDeletion(msgspec.Struct, frozen=True):
    """A deletion that a store knows: its offset, when it was requested, what it names, and the offset of the payload
    that it names (0: none)."""

    offset: int
    requested_ns: int
    deletion: Deletion
    payload: int = 0


def derives_from(forecast: StoredForecast, applied: KnownDeletion) -> bool:
    """Whether a forecast was made of points that a deletion deleted; true also where it may have been.

    A deletion that was applied before the points were read concerns none of them. One of a payload concerns the
    forecast if the payload is among those used, or if it was requested while the forecast was made.
    """
    deletion = applied.deletion
    if deletion.feed != forecast.feed or applied.offset <= forecast.applied:
        return False
    if deletion.kind == "payload":
        return applied.requested_ns <= forecast.created_ns or forecast.payloads.includes(applied.payload)
    if deletion.series and deletion.series != forecast.request.series:
        return False
    if any(forecast.tags.get(name) != value for name, value in deletion.tags.items()):
        return False
    return deletion.first_ns <= forecast.last_ns and deletion.last_ns >= forecast.first_ns
