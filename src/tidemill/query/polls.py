"""The poll ledger: pages, newest first, and a summary that distinguishes a source that had nothing from one that could
not be reached.

Order: start descending, then item descending. A cursor is the (start, item) of a page's last poll, so that new polls do
not change the following pages.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from tidemill.errors import Fault, InputError
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, format_instant
from tidemill.query import answers, readers
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.parameters import (
    TEXT,
    Parameter,
    RangeParameters,
    limit_of_files,
    one_of,
    page_cursor,
    time_range,
)
from tidemill.query.why_absent import REACHED
from tidemill.store.client import Store

MAX_PAGE: Final = 1000
MAX_EXPORTED: Final = 100_000
_DEFAULT_PAGE: Final = 100
_BEFORE_NS: Final = 8 * 86_400 * NS_PER_S  # long enough to include the last poll of a source that is polled once a week
_SLACK_NS: Final = 60 * NS_PER_S  # how late a poll may begin without a gap: the poller may be busy with other sources


class PollSummaryQuery(RangeParameters, frozen=True):
    """The range of time that is summarized."""

    item: Annotated[
        str | None, Parameter("Only this item of the source (`muid=...`), as its state names it.", readers.word, TEXT)
    ] = None


class PollsQuery(PollSummaryQuery, frozen=True):
    """A page of the polls that began in [start, end), or a file of them."""

    result: Annotated[
        str | None, Parameter("Only with this result: `data`, `empty`, `timeout` ...", readers.word, TEXT)
    ] = None
    limit: Annotated[int | None, limit_of_files("polls", _DEFAULT_PAGE, MAX_PAGE, MAX_EXPORTED)] = None
    cursor: Annotated[tuple[int, str] | None, page_cursor(int, str)] = None
    format: Annotated[
        Literal["json", "ndjson", "csv"],
        one_of("`json` a page; `csv` and `ndjson` the whole selection.", "json", "ndjson", "csv"),
    ] = "json"


class PollItem(msgspec.Struct, frozen=True):
    """One poll. `result`: `data`, `empty`, `unchanged`, `truncated` (polled in halves then), or why it failed. `status`
    is null without an answer over HTTP, `sha256` without bytes, `receipt` where nothing was taken, `next_due` when
    polling was being stopped."""

    started_at: str
    feed: str
    item: str
    result: str
    status: int | None
    latency_ms: float
    bytes: int
    records: int
    sha256: str | None
    receipt: str | None
    detail: str | None
    next_due: str | None
    links: dict[str, str]


class PollPage(msgspec.Struct, frozen=True):
    """A page of the poll ledger."""

    items: list[PollItem]
    next: str | None


class SourceTimes(msgspec.Struct, frozen=True):
    """The time that a source was in each state, by the last poll before. `data`: it was reached and had data, new or
    known; `empty`: it was reached and had nothing; `unusable`: it answered and the answer could not be used;
    `unreached`: it did not answer; `unpolled`: no poll was made, for instance because the server was not running."""

    data: float
    empty: float
    unusable: float
    unreached: float
    unpolled: float


class Outage(msgspec.Struct, frozen=True):
    """Consecutive polls of one item without a usable answer. `end` is null where no usable answer came after. `result`
    and `detail` are of the last of these polls; `seconds` is the time that they cover."""

    item: str
    start: str
    end: str | None
    seconds: float
    polls: int
    result: str
    detail: str | None


class PollSummary(msgspec.Struct, frozen=True):
    """The polls of a range of time. `seconds` adds up the items of a source; `share` is the part of the total (null
    where no poll covers any of it). Time before an item's first poll is not counted."""

    feed: str
    start: str | None
    end: str
    polls: int
    by_result: dict[str, int]
    seconds: SourceTimes
    share: SourceTimes | None
    longest_outage: Outage | None


class Polls:
    """Reads the poll ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer_polls(self, tenant: str, feed: str, query: PollsQuery) -> Page:
        """The selection, as a page or a file. Raises InputError for a limit too high."""
        chosen, kind = _filters(tenant, feed, query), query.format
        if kind != "json":
            return self._export(chosen, kind, query.limit or MAX_EXPORTED)
        count = query.limit or _DEFAULT_PAGE
        if count > MAX_PAGE:
            message = f"a page has at most {MAX_PAGE} polls; format=csv or ndjson gives more at once"
            raise InputError(message, (Fault("$query.limit", "invalid", message),))
        rows = self._store.rows("polls", **chosen, limit=count + 1)
        page = rows[:count]
        following = encode_cursor(page[-1]["started_ns"], page[-1]["item"]) if len(rows) > count else None
        return answers.json_page(PollPage([_item(row) for row in page], following), following)

    def summary(self, tenant: str, feed: str, query: PollSummaryQuery, now_ns: int) -> PollSummary:
        """The summary of the range, up to now where `end` is missing or in the future."""
        first = time_range(query.start, query.end).first_ns
        end = max(first, min(now_ns, now_ns if query.end is None else query.end))
        [row] = self._store.rows(
            "polls_summary",
            tenant=tenant,
            feed=feed,
            item=query.item or "",
            first=first,
            since=max(MIN_NS, first - _BEFORE_NS),
            end=end,
            slack=_SLACK_NS,
            reached=list(REACHED),
        )
        times_ns = {name: row[name] for name in SourceTimes.__struct_fields__}
        total = sum(times_ns.values())
        start = first if query.start is not None else row["from_ns"]
        return PollSummary(
            feed=feed,
            start=format_instant(start) if query.start is not None or total else None,
            end=format_instant(end),
            polls=row["polls"],
            by_result=row["by_result"],
            seconds=SourceTimes(**{name: _seconds(value) for name, value in times_ns.items()}),
            share=SourceTimes(**{name: round(value / total, 6) for name, value in times_ns.items()}) if total else None,
            longest_outage=_outage(row) if row["out_ns"] else None,
        )

    def _export(self, chosen: dict[str, Any], kind: str, limit: int) -> Page:
        beyond = self._store.rows("polls_beyond", **chosen, offset=limit - 1)
        following = encode_cursor(beyond[0]["started_ns"], beyond[0]["item"]) if len(beyond) > 1 else None
        guarded = int(kind == "csv")
        stream = self._store.stream(
            "polls_exported", answers.STORE_FORMATS[kind], **chosen, limit=limit, guarded=guarded
        )
        return Page(stream, answers.MEDIA_TYPES[kind], following)


def _filters(tenant: str, feed: str, query: PollsQuery) -> dict[str, Any]:
    """The parameters that the queries bind for the filters of a request and the end of the last page."""
    span, (before_at, before_item) = time_range(query.start, query.end), query.cursor or (MAX_NS, "")
    before_at = max(MIN_NS, min(MAX_NS, before_at))
    return {
        "tenant": tenant,
        "feed": feed,
        "item": query.item or "",
        "result": query.result or "",
        "first": span.first_ns,
        "last": min(span.last_ns, before_at),
        "before_at": before_at,
        "before_item": before_item,
    }


def _item(row: dict[str, Any]) -> PollItem:
    links = {"receipt": f"/v1/receipts/{row['receipt']}"} if row["receipt"] else {}
    return PollItem(**{name: row[name] for name in PollItem.__struct_fields__ if name != "links"}, links=links)


def _outage(row: dict[str, Any]) -> Outage:
    item, start, end, ended, polls, result, detail = row["outage"]
    return Outage(
        item=item,
        start=format_instant(start),
        end=format_instant(end) if ended else None,
        seconds=_seconds(row["out_ns"]),
        polls=polls,
        result=result,
        detail=detail or None,
    )


def _seconds(ns: int) -> float:
    return round(ns / NS_PER_S, 3)
