"""The rejection ledger as an administrator reads it: pages, newest first, and counts by reason.

Order: place in the log descending, then index in the payload descending; a cursor is such a place, so that pages stay
what they were while new rejections arrive. Where the log has several partitions, a cursor has a place in each: a page
is merged by times of receipt, a file has one partition after the other.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

import msgspec

from tidemill.errors import Fault, InputError
from tidemill.model.ids import format_series
from tidemill.model.offset import partition_of
from tidemill.model.time import parse_instant
from tidemill.query import answers, readers
from tidemill.query.answers import Page
from tidemill.query.export import FORMATS, MAX_EXPORTED, export
from tidemill.query.merging import first_of
from tidemill.query.parameters import (
    END,
    START,
    UNIT,
    Asked,
    Parameter,
    time_range,
)
from tidemill.query.parameters import FEED as _FEED
from tidemill.query.readers import word
from tidemill.query.seals import OF_PROCESS, SEALED_CURSOR, Seals
from tidemill.store.client import Store

Places = tuple[tuple[int, int], ...]  # seq, idx in each partition of the log

_NEWEST: Final = (2**64 - 1, 2**32 - 1)
_NOTHING: Final = (0, 0)  # nothing is before it
ROUTE: Final = "rejections"
_TEXT: Final = {"type": "string"}

MAX_PAGE: Final = 1000
_DEFAULT_PAGE: Final = 100

_SERIES: Final = Parameter("series", "Only records whose points would have been of this series.", readers.series, _TEXT)
_RECOVERED: Final = Parameter(
    "recovered",
    "Records that a replay made points of after all: `without` them, `with` them, or `only` them.",
    readers.choice("without", "with", "only"),
    {"type": "string", "enum": ["without", "with", "only"]},
    "without",
)
SUMMARY_PARAMETERS: Final = (_FEED, _SERIES, _RECOVERED, START, END, UNIT)
PAGE_PARAMETERS: Final = (
    _FEED,
    Parameter("reason", "Only with this reason code.", word, _TEXT),
    Parameter("receipt", "Only records of this payload.", word, _TEXT),
    _SERIES,
    _RECOVERED,
    START,
    END,
    UNIT,
    Parameter(
        "limit",
        f"Most records: as json {_DEFAULT_PAGE} unless given, up to {MAX_PAGE}; in other formats {MAX_EXPORTED}.",
        readers.limit(MAX_EXPORTED),
        {"type": "integer", "minimum": 1, "maximum": MAX_EXPORTED},
    ),
    SEALED_CURSOR,
    Parameter(
        "format",
        "`json` a page; `csv`, `ndjson` and `parquet` the whole selection. Without it as `Accept` says.",
        readers.choice("json", *FORMATS),
        {"type": "string", "enum": ["json", *FORMATS]},
    ),
)


class Winner(msgspec.Struct, frozen=True):
    """The record that stands where a duplicate lost: its payload (null: no longer kept) and its index in it."""

    receipt: str | None
    index: int


class Rejection(msgspec.Struct, frozen=True):
    """A record that did not become points. `time` is null where none could be read; `record` is its JSON, or the raw
    text when it is none, ending with `…` after 64 KiB, empty where the payload could not be cut (`detail` says both);
    `series` those that its points would have been of, as far as that is known; `winner` is null
    unless a reason is `duplicate`; `recovered_by` is the replay that made points of it after all."""

    feed: str
    receipt: str
    index: int
    received_at: str
    time: str | None
    reasons: list[str]
    detail: str
    record: Any
    rules_version: int
    series: list[str]
    winner: Winner | None
    recovered_by: str | None
    recovered_at: str | None


class RejectionPage(msgspec.Struct, frozen=True):
    """A page of the ledger."""

    items: list[Rejection]
    next: str | None


class RejectionSummary(msgspec.Struct, frozen=True):
    """Counts of rejected records; one with two reasons counts under both."""

    total: int
    by_reason: dict[str, int]
    by_feed: dict[str, int]


class Rejections:
    """Reads the ledger."""

    def __init__(self, store: Store, seals: Seals = OF_PROCESS, partitions: int = 1) -> None:
        self._store, self._seals = store, seals
        self._newest: Places = (_NEWEST,) * partitions

    def page(self, tenant: str, asked: Asked) -> RejectionPage:
        """A page by PAGE_PARAMETERS; `start` and `end` are times of receipt. Raises InputError for a limit too high."""
        count = asked["limit"] or _DEFAULT_PAGE
        if count > MAX_PAGE:
            message = f"a page has at most {MAX_PAGE} records; format=csv, ndjson or parquet gives more at once"
            raise InputError(message, (Fault("$query.limit", "invalid", message),))
        filters, before = _filters(tenant, asked), self._before(tenant, asked)
        rows = [
            self._store.rows("rejections", **filters, **_bound(_only(before, number)), limit=count + 1)
            for number in range(len(before))
        ]
        taken = first_of(rows, count, lambda row: -parse_instant(row["received_at"]))
        page = [row for _, row in taken]
        more = sum(map(len, rows)) > len(page)
        receipts = self._receipts(tenant, {row["winner_seq"] for row in page if row["winner_seq"]})
        ended = dict(enumerate(before)) | {number: (row["seq"], row["idx"]) for number, row in taken}
        following = self._cursor(tenant, tuple(ended.values())) if more else None
        return RejectionPage([_rejection(row, receipts) for row in page], following)

    def answer(self, tenant: str, asked: Asked, kind: str) -> Page:
        """The selection by PAGE_PARAMETERS: a RejectionPage as `json`, else a file in the format `kind`."""
        if kind != "json":
            before, limit = self._before(tenant, asked), asked["limit"] or MAX_EXPORTED
            chosen = _filters(tenant, asked) | _bound(before)
            return export(self._store, chosen, kind, limit, lambda row: self._cursor(tenant, _passed(before, row)))
        page = self.page(tenant, asked)
        return answers.encoded(page, page.next)

    def summary(self, tenant: str, asked: Asked) -> RejectionSummary:
        """Counts by SUMMARY_PARAMETERS."""
        rows = self._store.rows("rejections_summary", **_filters(tenant, asked))
        return msgspec.convert(rows[0], RejectionSummary)

    def _cursor(self, tenant: str, ended: Places) -> str:
        return self._seals.seal(ROUTE, tenant, *chain(*ended))

    def _before(self, tenant: str, asked: Asked) -> Places:
        """Where the last page ended in each partition. Raises InputError."""
        parts = self._seals.after(ROUTE, tenant, asked["cursor"], tuple(chain(*self._newest)))
        return tuple(zip(parts[::2], parts[1::2], strict=True))

    def _receipts(self, tenant: str, seqs: Iterable[int]) -> dict[int, str]:
        wanted = sorted(seqs)
        if not wanted:
            return {}
        return {row["seq"]: row["receipt"] for row in self._store.rows("receipts_by_seq", tenant=tenant, seqs=wanted)}


def _filters(tenant: str, asked: Asked) -> dict[str, Any]:
    """What the queries bind for the filters of a request."""
    span = time_range(asked)
    return {
        "tenant": tenant,
        "feed": asked["feed"] or "",
        "receipt": asked.get("receipt") or "",
        "reason": asked.get("reason") or "",
        "series": asked["series"] or 0,
        "recovered": asked["recovered"],
        "first": span.first_ns,
        "last": span.last_ns,
    }


def _bound(before: Places) -> dict[str, Any]:
    """What the queries bind for the places before which everything is chosen."""
    seq, idx = max(before)
    several = before if len(before) > 1 else ()
    lists = {"before_seqs": [place[0] for place in several], "before_idxs": [place[1] for place in several]}
    return {"before_seq": seq, "before_idx": idx, **lists}


def _only(before: Places, partition: int) -> Places:
    """These places with nothing before those of the other partitions."""
    return tuple(place if number == partition else _NOTHING for number, place in enumerate(before))


def _passed(before: Places, row: dict[str, Any]) -> Places:
    """The places behind a row of a file, which has the highest partition first."""
    last = partition_of(row["seq"])
    above = (row["seq"], row["idx"]), *(_NOTHING for _ in before[last + 1 :])
    return (*before[:last], *above)


def _rejection(row: dict[str, Any], receipts: dict[int, str]) -> Rejection:
    winner = Winner(receipts.get(row["winner_seq"]), row["winner_idx"]) if row["winner_seq"] else None
    return Rejection(
        feed=row["feed"],
        receipt=row["receipt"],
        index=row["idx"],
        received_at=row["received_at"],
        time=row["time"],
        reasons=row["reasons"],
        detail=row["detail"],
        record=json_or_text(row["record"]),
        rules_version=row["rules_version"],
        series=[format_series(number) for number in row["series"]],
        winner=winner,
        recovered_by=row["recovered_by"] or None,
        recovered_at=row["recovered_at"],
    )


def json_or_text(text: str) -> Any:
    """A record's text as the JSON it is, spelled as it came, or as a text when it is no JSON that can be sent."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return text
    return msgspec.Raw(text.encode())
