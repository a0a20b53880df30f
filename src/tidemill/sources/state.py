"""The records that the poller keeps of a source: its state (one value, overwritten), its polls (a row each), its
cursor.

All are plain structs; `state_store.py` and the poll ledger store them. The API shows states as they are. A `PollError`
becomes a state and a row of the ledger.
"""

from typing import Literal

import msgspec

State = Literal["starting", "ok", "empty", "unchanged", "slow", "failing", "open"]


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a source. Times in ns since the epoch, UTC; counts since the source was first polled.

    `ok`: the last poll brought data; `slow`: it brought data, and took longer than the feed's `slow_after`; `empty`:
    the source answered that it has no data; `unchanged`: its data was taken already. `failing`: there was no answer, or
    an unusable one; `open`: it failed so often that it is not polled until `next_due_ns`, when one poll tries it again.
    Then `reason` and `detail` say why. A reason is one of `wire.py`, or `garbage` (none of the feed's formats),
    `unexpected` (without the declared records), `truncated` (the shortest window still fills the `limit`), `loop` and
    `foreign_link` (pages that lead back or to another origin), `plugin`, `payload_refused`, `intake_unavailable`,
    `definition`, `internal`. `retry_ns`: the host `retry_host` asked to be left alone until then (`Retry-After`), also
    across a restart. `since_ns` is when the state began, `waiting` how many fetched payloads are not yet durable.
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
    requested again by halves), or the reason of the failure. `status` 0: no answer over HTTP. `sha256` is empty unless
    the source sent bytes, `receipt` unless intake kept them. `latency_ms` is the source's. `next_due_ns`: when the next
    poll was due, as known when the row was written (None: the source was being stopped)."""

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
    """The saved progress of a source. It is written only after intake took the payloads that it covers.

    `number` counts the payloads taken; `last` is the digest of the newest payload and its request, so that the same
    answer is not sent twice. Windows: all data before `taken_upto_ns` was taken. Pages and plug-ins: `token` is the
    next cursor or link (None: the first page) of the kind of paging `by`. A plain poll: the validators of the last
    answer to the request of digest `request_sha256`. `whole` is the most records of an answer that was known to be
    complete, `cap` the most records that the server returns (0: not known). Field names in the catalog: `position_ns`,
    `asked`.
    """

    taken_upto_ns: int | None = msgspec.field(default=None, name="position_ns")
    number: int = 0
    last: str = ""
    by: str = ""
    token: str | None = None
    request_sha256: str = msgspec.field(default="", name="asked")
    etag: str = ""
    last_modified: str = ""
    whole: int = 0
    cap: int = 0


class Unsent(msgspec.Struct, frozen=True):
    """A payload that was fetched and is not yet durable. The key is the same however often the payload is sent.
    `request_values`: the placeholder values of the request that tags use (`asked` in the catalog)."""

    body: bytes
    content_type: str
    key: str
    request_values: dict[str, str] = msgspec.field(default_factory=dict, name="asked")


class Unusable(msgspec.Struct, frozen=True):
    """A feed whose definition the poller cannot use, and why (a sentence without secrets)."""

    name: str
    why: str


class PollError(Exception):
    """A poll failed. `reason` is a reason of the source's state, `detail` a sentence; `at_least_s` is how long the
    server asked not to be polled (0: it did not). `receipt`: the ledger has the refused payload under it ("": it has
    not)."""

    def __init__(self, reason: str, detail: str, at_least_s: float = 0.0, *, receipt: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.at_least_s = at_least_s
        self.receipt = receipt
