"""What one poller task does, compiled from a feed's `[source]` table: one `Pull` for each item that `each` names.

Pure. A `Pull` holds numbers and whole texts where the definition holds durations and templates; two definitions that
mean the same polling compile to equal ones, so that an unrelated change of a feed does not disturb its source.
"""

import itertools
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from tidemill.feeds.definition import Feed
from tidemill.feeds.paths import parse_path
from tidemill.feeds.source import DEFAULT_EVERY, Source
from tidemill.model.time import NS_PER_S, duration_ns, parse_instant
from tidemill.sources.windows import Windows

_CONTENT_TYPES: Final = {"json": "application/json", "ndjson": "application/x-ndjson"}
_json = msgspec.json.Decoder(msgspec.Raw)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to poll. `item` tells it from its siblings of the same feed (`muid=...`; empty when there is one).
    `formats` are those of the feed: an answer in none of them is garbage. `limit` is the URL's parameter of that name:
    an answer of as many records (counted at the path `records`) is probably cut off; None: it has no such number."""

    tenant: str
    feed: str
    item: str
    url: str
    headers: dict[str, str]
    every_s: float
    drain: bool
    empty_status: tuple[int, ...]
    timeout_s: float
    max_bytes: int
    max_backoff_s: float
    windows: Windows | None
    formats: tuple[str, ...]
    records: tuple[str, ...] = ()
    limit: int | None = None

    @property
    def key(self) -> str:
        """Where the catalog keeps what belongs to this source: `sources/{tenant}/{feed}/{item}`."""
        return source_key(self.tenant, self.feed, self.item)


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


def recognised(body: bytes, formats: tuple[str, ...]) -> str | None:
    """The content type of bytes that are well-formed in one of the formats (`json`, `ndjson`), None for garbage.

    What a server claims is not looked at: many say text/plain or text/html. What the bytes mean is the mill's to judge.
    """
    for name in formats:
        try:
            if name == "json":
                _json.decode(body)
            else:
                _json.decode_lines(body)
        except (msgspec.DecodeError, RecursionError):
            continue
        return _CONTENT_TYPES[name]
    return None


def count(body: bytes, content_type: str, records: tuple[str, ...]) -> int:
    """How many records there are at a path of well-formed bytes; 0 where nothing is there."""
    try:
        if content_type == _CONTENT_TYPES["ndjson"]:
            return len(_json.decode_lines(body))
        raw: bytes | msgspec.Raw = body
        for name in records:
            raw = _object.decode(raw)[name]
        return len(_array.decode(raw))
    except (msgspec.DecodeError, KeyError):
        return 0


def _compile(tenant: str, feed: Feed, source: Source, chosen: dict[str, str]) -> Pull:
    url = _url(source.url, {**source.params, **chosen})
    return Pull(
        tenant=tenant,
        feed=feed.name,
        item=",".join(f"{name}={value}" for name, value in chosen.items()),
        url=url,
        headers=source.headers,
        every_s=_seconds(source.every or DEFAULT_EVERY),
        drain=source.drain,
        empty_status=source.empty_status,
        timeout_s=_seconds(source.timeout),
        max_bytes=source.max_bytes,
        max_backoff_s=_seconds(source.max_backoff),
        windows=_windows(source),
        formats=feed.input.formats,
        records=parse_path(feed.input.records),
        limit=_limit(url),
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


def _seconds(text: str) -> float:
    return duration_ns(text) / NS_PER_S


def _ns_or_zero(text: str) -> int:
    """A duration that may be nothing (`0s`)."""
    return 0 if text.strip().rstrip("nuµmsihdw") in {"0", ""} else duration_ns(text)
