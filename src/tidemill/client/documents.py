"""The documents of answers that the client gives types. Members that a newer server adds are left out."""

import msgspec


class PayloadReceipt(msgspec.Struct, frozen=True):
    """What became of a payload. `state`: `stored` (durable, to be applied soon), `applied`, `refused`, `poison` or
    `deleted`. `accepted` and `rejected` count records and are null until it is applied; `reasons` counts rejected
    records by reason code; `missing` counts values that are null or absent (null: not known)."""

    id: str
    feed: str
    received_at: str
    bytes: int
    sha256: str
    state: str
    accepted: int | None = None
    rejected: int | None = None
    reasons: dict[str, int] = {}
    missing: int | None = None
    rules_version: int | None = None


class SeriesInfo(msgspec.Struct, frozen=True):
    """A series: `count` of its present points, times of its first and last sample (null: it has none). `removed`: its
    feed was removed."""

    id: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None = None
    count: int = 0
    first: str | None = None
    last: str | None = None
    removed: bool = False


class SeriesInfoPage(msgspec.Struct, frozen=True):
    """A page of series; `next` is the cursor of the following page."""

    items: list[SeriesInfo]
    next: str | None = None
