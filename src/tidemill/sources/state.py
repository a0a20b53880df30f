"""What can be known of a source: its state (one value, overwritten), its polls (one row each), its cursor.

All three are plain structs; `desk.py` writes them down. The API shows them as they are.
"""

from typing import Literal

import msgspec

State = Literal["starting", "ok", "empty", "failing"]


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is doing. Times in ns since the epoch, UTC; counts since the source was first polled.

    `ok`: the last poll brought data; `empty`: the source answered that it had none; `failing`: `reason` and `detail`
    say why. A reason is one of `wire.py`, or `garbage`, `truncated` (the shortest window still fills the `limit`),
    `payload_refused`, `intake_unavailable`, `definition`, `internal`.
    `since_ns` is when the state began, `waiting` how many fetched payloads are not yet durable.
    """

    tenant: str
    feed: str
    item: str
    state: State = "starting"
    since_ns: int = 0
    last_poll_ns: int | None = None
    last_data_ns: int | None = None
    last_status: int | None = None
    latency_ms: float | None = None
    reason: str | None = None
    detail: str | None = None
    next_due_ns: int | None = None
    cursor: str | None = None
    waiting: int = 0
    polls: int = 0
    payloads: int = 0
    payload_bytes: int = 0
    empty: int = 0
    failures: int = 0
    failures_in_a_row: int = 0


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the poll ledger. `result`: `data`, `empty`, `unchanged`, `truncated` (as many records as the `limit`:
    asked again by halves), or the reason of the failure. `status` 0: no
    answer. `sha256` is empty unless bytes came; `receipt` unless they were taken. `latency_ms` is the source's."""

    tenant: str
    feed: str
    item: str
    started_ns: int
    result: str
    status: int = 0
    latency_ms: float = 0.0
    size_bytes: int = 0
    sha256: bytes = b""
    receipt: str = ""
    detail: str = ""


class Cursor(msgspec.Struct, frozen=True):
    """Where a window source goes on: everything before `position_ns` was taken. `number` counts the payloads taken and
    `last` is the digest of the newest one with its window, so that the same answer is not sent twice."""

    position_ns: int
    number: int = 0
    last: str = ""


class Unsent(msgspec.Struct, frozen=True):
    """A payload that was fetched and is not yet durable. The key stays the same however often it is sent."""

    body: bytes
    content_type: str
    key: str
