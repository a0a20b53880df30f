"""What can be known of a source: its state (one value, overwritten), its polls (one row each), its cursor.

All three are plain structs; `desk.py` writes them down. The API shows states as they are.
"""

from typing import Literal

import msgspec

State = Literal["starting", "ok", "empty", "unchanged", "slow", "failing", "open"]


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is doing. Times in ns since the epoch, UTC; counts since the source was first polled.

    `ok`: the last poll brought data; `slow`: it did, and took longer than the feed's `slow_after`; `empty`: the source
    answered that it had none; `unchanged`: it has what was taken already. `failing`: it could not be asked, or its
    answer not be used; `open`: it failed so often that it is left alone until `next_due_ns`, when one poll tries it.
    Then `reason` and `detail` say why. A reason is one of `wire.py`, or `garbage` (none of the feed's formats),
    `unexpected` (without the declared records), `truncated` (the shortest window still fills the `limit`), `loop` and
    `foreign_link` (pages that lead back or to another origin), `plugin`, `payload_refused`, `intake_unavailable`,
    `definition`, `internal`.
    `retry_ns`: the host `retry_host` asked to be left alone until then (`Retry-After`), also across a restart.
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
    retry_ns: int | None = None
    retry_host: str | None = None
    cursor: str | None = None
    waiting: int = 0
    polls: int = 0
    payloads: int = 0
    payload_bytes: int = 0
    empty: int = 0
    unchanged: int = 0
    failures: int = 0
    failures_in_a_row: int = 0


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the poll ledger. `result`: `data`, `empty`, `unchanged`, `truncated` (as many records as the `limit`:
    asked again by halves), or the reason of the failure. `status` 0: no answer over HTTP. `sha256` is empty unless
    bytes came; `receipt` unless they were taken. `latency_ms` is the source's. `next_due_ns`: when the source was to
    be polled next, as known when the row was written (None: not at all, it was being stopped)."""

    tenant: str
    feed: str
    item: str
    started_ns: int
    result: str
    status: int = 0
    latency_ms: float = 0.0
    size_bytes: int = 0
    records: int = 0
    sha256: bytes = b""
    receipt: str = ""
    detail: str = ""
    next_due_ns: int | None = None


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """What a source remembers across restarts, written only after what it stands for was taken.

    `number` counts the payloads taken and `last` is the digest of the newest one with what was asked, so that the same
    answer is not sent twice. Windows: everything before `position_ns` was taken. Pages and plug-ins: `token` is the
    cursor or link to go on at (None: begin anew), given `by` that kind of paging. A plain poll: the validators of the
    last answer to the request of digest `asked`. `whole` is how many records an answer had that was known to be whole,
    `cap` how many the server gives at most, where that was found out (0: it was not).
    """

    position_ns: int | None = None
    number: int = 0
    last: str = ""
    by: str = ""
    token: str | None = None
    asked: str = ""
    etag: str = ""
    last_modified: str = ""
    whole: int = 0
    cap: int = 0


class Unsent(msgspec.Struct, frozen=True):
    """A payload that was fetched and is not yet durable. The key stays the same however often it is sent. `asked`: of
    what was asked for what tags are made of."""

    body: bytes
    content_type: str
    key: str
    asked: dict[str, str] = {}


class Unusable(msgspec.Struct, frozen=True):
    """A feed whose definition cannot be used by who polls, and why (a sentence without secrets)."""

    name: str
    why: str
