"""What one poller task does, compiled from a feed's `[source]` table: one `Pull` for each item that `each` names.

Pure. A `Pull` holds numbers and whole texts where the definition holds durations and templates; two definitions that
mean the same polling compile to equal ones, so that an unrelated change of a feed does not disturb its source.
"""

import itertools
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from tidemill.feeds.definition import Feed
from tidemill.feeds.paths import parse_path
from tidemill.feeds.source import DEFAULT_EVERY, HTTP, Source
from tidemill.model.time import NS_PER_S, duration_ns, parse_instant
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.backoff import Backoff
from tidemill.sources.breaker import Breaker
from tidemill.sources.paging import Paging
from tidemill.sources.poll_windows import Windows
from tidemill.sources.schedule import Cron, Every, Schedule


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to poll. `item` tells it from its siblings of the same feed (`muid=...`; empty when there is one).
    `formats` are those of the feed: an answer in none of them is garbage. `limit` is the URL's parameter of that name:
    an answer of as many records (counted at the path `records`) is probably cut off; None: it has no such number.
    `kind` names the plug-in that is asked with `options`, or `http`."""

    tenant: str
    feed: str
    item: str
    kind: str
    options: dict[str, Any]
    url: str
    headers: dict[str, str]
    allow: AddressPolicy
    schedule: Schedule
    drain: bool
    empty_status: tuple[int, ...]
    conditional: bool
    skip_unchanged: bool
    timeout_s: float
    slow_after_s: float
    max_bytes: int
    breaker: Breaker
    windows: Windows | None
    paging: Paging | None
    formats: tuple[str, ...]
    records: tuple[str, ...]
    limit: int | None
    secrets: tuple[str, ...]

    @property
    def key(self) -> str:
        """Where the catalog keeps what belongs to this source: `sources/{tenant}/{feed}/{item}`."""
        return source_key(self.tenant, self.feed, self.item)

    def __repr__(self) -> str:
        return f"Pull({self.key})"  # not its values: they may be secrets


def source_key(tenant: str, feed: str, item: str) -> str:
    """Where the catalog keeps what belongs to a source."""
    return "/".join(("sources", *(quote(part, safe="=.,-_") or "-" for part in (tenant, feed, item))))


def compile_pulls(tenant: str, feed: Feed) -> list[Pull]:
    """The pulls of a feed; none if it has no source. Raises ValueError with a sentence for what cannot be polled."""
    source = feed.source
    if source is None:
        return []
    values = [
        [(name, value.strip()) for value in text.split(",") if value.strip()] for name, text in source.each.items()
    ]
    return [_compile(tenant, feed, source, dict(chosen)) for chosen in itertools.product(*values)]


def _compile(tenant: str, feed: Feed, source: Source, chosen: dict[str, str]) -> Pull:
    own = source.kind == HTTP
    url = _url(source.url, {**source.params, **chosen}) if own else ""
    timeout_s = _seconds(source.timeout)
    return Pull(
        tenant=tenant,
        feed=feed.name,
        item=",".join(f"{name}={value}" for name, value in chosen.items()),
        kind=source.kind,
        options={} if own else {**source.options, **chosen},
        url=url,
        headers=source.headers,
        allow=AddressPolicy.parse(",".join(source.allow)),
        schedule=_schedule(source),
        drain=source.drain,
        empty_status=source.empty_status,
        conditional=source.conditional,
        skip_unchanged=source.skip_unchanged,
        timeout_s=timeout_s,
        slow_after_s=timeout_s / 2 if source.slow_after is None else _seconds(source.slow_after),
        max_bytes=source.max_bytes,
        breaker=_breaker(source),
        windows=_windows(source),
        paging=_paging(source),
        formats=feed.input.formats,
        records=parse_path(feed.input.records),
        limit=_limit(url),
        secrets=source.hidden,
    )


def _url(text: str, params: dict[str, str]) -> str:
    """A URL with its parameters. Raises ValueError with a sentence."""
    try:
        url = httpx.URL(text)
        whole = str(url.copy_merge_params(params) if params else url)
    except httpx.InvalidURL as error:  # not a ValueError
        raise ValueError(f"source.url: '{text[:80]}' is not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"source.url: '{text[:80]}' is not an http or https URL")
    return whole


def _limit(url: str) -> int | None:
    text = httpx.URL(url).params.get("limit", "")
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


def _schedule(source: Source) -> Schedule:
    if source.cron is None:
        return Every(_seconds(source.every or DEFAULT_EVERY))
    cron = Cron(source.cron, source.tz)
    cron.due_ns(0)  # raises for what cannot be followed
    return cron


def _breaker(source: Source) -> Breaker:
    backoff = Backoff(cap_s=_seconds(source.max_backoff))
    return Breaker(open_after=source.open_after, open_for_s=_seconds(source.open_for), backoff=backoff)


def _windows(source: Source) -> Windows | None:
    window = source.window
    if window is None:
        return None
    return Windows(
        start_ns=parse_instant(window.start),
        size_ns=duration_ns(window.size),
        lag_ns=_ns_or_zero(window.lag),
        overlap_ns=_ns_or_zero(window.overlap),
        dates=window.format == "date",
    )


def _paging(source: Source) -> Paging | None:
    page = source.page
    if page is None:
        return None
    path = parse_path(page.cursor_path or "$")
    return Paging(by=page.by, path=path, param=page.param, start=page.start, keep=page.keep, max_pages=page.max_pages)


def _seconds(text: str) -> float:
    return duration_ns(text) / NS_PER_S


def _ns_or_zero(text: str) -> int:
    """A duration that may be nothing (`0s`)."""
    return 0 if text.strip().rstrip("nuµmsihdw") in {"0", ""} else duration_ns(text)
