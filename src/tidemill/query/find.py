"""Finds by a short text what a page can open: feeds, series, receipts by id or digest, and instants.

What cannot be searched, because the store does not answer, is named in the answer; the rest is answered.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec
import polars as pl

from tidemill.errors import NotFoundError, StoreQueryError, TidemillError, UnavailableError
from tidemill.feeds.definition import Feed
from tidemill.model.ids import format_series
from tidemill.model.time import format_instant
from tidemill.query import readers
from tidemill.query.instants import format_instants
from tidemill.query.parameters import TEXT, Parameter, QueryParameters, Zone, limit_to
from tidemill.query.receipts import Receipts
from tidemill.query.series import SeriesQueries, SeriesQuery
from tidemill.query.series_rows import Description
from tidemill.query.series_search import MAX_WORDS
from tidemill.query.spoken_times import SpokenTime, find_time
from tidemill.store.client import Store

MAX_TEXT: Final = 200
_ID: Final = re.compile(r"[0-9a-f-]{4,36}", re.ASCII)
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})", re.ASCII)
_SERIES: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)


def _text(text: str, _: readers.Context) -> str:
    if not text.strip():
        raise ValueError("must have a word")
    if len(text) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    return " ".join(text.split())


class FindQuery(QueryParameters, frozen=True):
    """What is to be found."""

    q: Annotated[
        str,
        Parameter(
            "Words of a series or a feed, the begin of a receipt's id or of a SHA-256, or a time: `pump 1 yesterday "
            "14:42`.",
            _text,
            TEXT,
        ),
    ]
    tz: Zone = "UTC"
    limit: Annotated[int, limit_to(50)] = 5


class FeedHit(msgspec.Struct, frozen=True, tag_field="kind", tag="feed"):
    """A feed whose name or title has every word."""

    name: str
    title: str
    link: str


class SeriesHit(msgspec.Struct, frozen=True, tag_field="kind", tag="series"):
    """A series that has every word, or this id."""

    id: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None
    link: str


class ReceiptHit(msgspec.Struct, frozen=True, tag_field="kind", tag="receipt"):
    """A receipt whose id, or the SHA-256 of whose payload, begins with the text. `by`: which of both."""

    id: str
    feed: str
    received_at: str
    state: str
    sha256: str
    bytes: int
    by: str
    link: str


class InstantHit(msgspec.Struct, frozen=True, tag_field="kind", tag="instant"):
    """A time that the text names: `time` in UTC, `local` in the zone of the request. `series`: one that the other words
    match (null: there are no other words, or the series cannot be searched now). `day`: no time of day was named, and
    `time` is the day's midnight. `link`: what became of the series at that time."""

    time: str
    local: str
    day: bool
    series: SeriesHit | None
    link: str | None


Hit = FeedHit | SeriesHit | ReceiptHit | InstantHit


class Hits(msgspec.Struct, frozen=True):
    """What was found: instants first, then receipts, feeds and series, of each kind at most `limit`. `missing`: which
    kinds could not be searched now, because a part of the server does not answer."""

    q: str
    hits: list[InstantHit | ReceiptHit | FeedHit | SeriesHit]
    missing: list[str]


class Finder:
    """Finds in one store and log."""

    def __init__(self, store: Store, series: SeriesQueries, receipts: Receipts) -> None:
        self._store, self._series, self._receipts = store, series, receipts

    def find(self, tenant: str, query: FindQuery, feeds: Iterable[Feed], now_ns: int) -> Hits:
        """What the text of a request finds. Raises nothing for a part that does not answer."""
        missing: list[str] = []

        def part(kind: str, work: Callable[[], Sequence[Hit]]) -> Sequence[Hit]:
            try:
                return work()
            except (UnavailableError, StoreQueryError):
                missing.append(kind)
                return []

        spoken = find_time(query.q, now_ns, query.tz)
        hits = [
            *(self._instants(tenant, query, spoken, part) if spoken else ()),
            *part("receipts", lambda: self._found_receipts(tenant, query)),
            *_feed_hits(query, feeds),
            *part("series", lambda: self._found_series(tenant, query.q, query.limit)),
        ]
        return Hits(query.q, hits, list(dict.fromkeys(missing)))

    def _instants(
        self, tenant: str, query: FindQuery, spoken: SpokenTime, part: Callable[..., Sequence[Hit]]
    ) -> Sequence[Hit]:
        series: Sequence[Any] = ()
        if spoken.rest:
            series = part("series", lambda: self._found_series(tenant, spoken.rest, query.limit))
        time, local = format_instant(spoken.ns), _local(spoken.ns, query.tz)
        return [
            InstantHit(time, local, not spoken.has_clock, hit, f"/v1/why?series={hit.id}&time={time}" if hit else None)
            for hit in (series or [None])
        ]

    def _found_series(self, tenant: str, text: str, limit: int) -> Sequence[SeriesHit]:
        if _SERIES.fullmatch(text.lower()):
            try:
                return [_series_hit(self._series.describe(tenant, text.lower()))]
            except NotFoundError:
                pass
        words = tuple(text.split()[:MAX_WORDS])
        page = self._series.list_series(tenant, SeriesQuery(q=words, extent=False, limit=limit))
        return [
            SeriesHit(item.id, item.feed, item.name, item.field, item.tags, item.unit, f"/v1/series/{item.id}")
            for item in page.items
        ]

    def _found_receipts(self, tenant: str, query: FindQuery) -> Sequence[ReceiptHit]:
        text = query.q.lower()
        rows: list[tuple[str, dict[str, Any]]] = []
        if _ID.fullmatch(text):
            rows += [("id", row) for row in self._by_id(tenant, text, query.limit)]
        if digest := _DIGEST.fullmatch(text):
            rows += [("sha256", row) for row in self._by_digest(tenant, digest[1], query.limit)]
        return [
            ReceiptHit(
                by=by,
                link=f"/v1/receipts/{row['id']}",
                **{name: row[name] for name in ("id", "feed", "received_at", "state", "sha256", "bytes")},
            )
            for by, row in rows[: query.limit]
        ]

    def _by_id(self, tenant: str, text: str, limit: int) -> list[dict[str, Any]]:
        if len(text) == 36:  # also where it waits in the log
            try:
                return [msgspec.structs.asdict(self._receipts.receipt(tenant, text))]
            except UnavailableError:
                raise
            except TidemillError:
                return []
        return self._store.rows("find_receipts", tenant=tenant, low=text, high=f"{text}~", limit=limit)

    def _by_digest(self, tenant: str, digits: str, limit: int) -> list[dict[str, Any]]:
        whole, half = digits[: len(digits) // 2 * 2], digits[len(digits) // 2 * 2 :]
        return self._store.rows(
            "find_payloads",
            tenant=tenant,
            digits=whole,
            length=len(whole) // 2,
            half=int(half, 16) if half else 16,
            limit=limit,
        )


def _feed_hits(query: FindQuery, feeds: Iterable[Feed]) -> list[FeedHit]:
    words = query.q.casefold().split()
    found = [feed for feed in feeds if all(word in f"{feed.name}\n{feed.title}".casefold() for word in words)]
    found.sort(key=lambda feed: (not feed.name.casefold().startswith(words[0]), feed.name))
    return [FeedHit(feed.name, feed.title, f"/v1/feeds/{feed.name}") for feed in found[: query.limit]]


def _series_hit(described: Description) -> SeriesHit:
    series = format_series(described.series)
    return SeriesHit(
        series, described.feed, described.name, described.field, described.tags, described.unit or None,
        f"/v1/series/{series}",
    )  # fmt: skip


def _local(ns: int, zone: str) -> str:
    return str(format_instants(pl.Series([ns]), zone)[0])
