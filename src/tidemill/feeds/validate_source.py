"""What a `[source]` must be beyond its types: a URL that can be asked, durations, bounds."""

import ipaddress
from collections.abc import Iterator, Sequence

from tidemill.feeds.convert import Finding
from tidemill.feeds.definition import Feed
from tidemill.feeds.durations import duration_findings
from tidemill.model.time import parse_instant


def source_findings(feed: Feed) -> Iterator[Finding]:
    """Every fault of a feed's [source]; none if it has no source."""
    source = feed.source
    if source is None:
        return
    yield from _url(source.url)
    for name in ("every", "timeout", "max_backoff"):
        yield from duration_findings(("source", name), getattr(source, name))
    if source.max_bytes < 1:
        yield Finding(("source", "max_bytes"), "out_of_range", "max_bytes is at least 1")
    yield from _networks(source.allow)
    if source.window is None:
        return
    for name in ("size", "lag", "overlap"):
        text = getattr(source.window, name)
        if name == "size" or text != "0s":
            yield from duration_findings(("source", "window", name), text)
    try:
        parse_instant(source.window.start)
    except ValueError as error:
        yield Finding(("source", "window", "start"), "bad_time", str(error))


def _url(text: str) -> Iterator[Finding]:
    import httpx  # here: it takes 0.2 s, and most who load feeds poll nothing

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        yield Finding(("source", "url"), "bad_url", f"'{text[:60]}' is not a URL: {error}")
        return
    if url.scheme not in ("http", "https") or not url.host:
        yield Finding(("source", "url"), "bad_url", f"'{text[:60]}' is not an http:// or https:// URL")


def _networks(allow: Sequence[str]) -> Iterator[Finding]:
    for place, text in enumerate(allow):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            message = f"{error}; write it such as 10.1.0.0/16 or 127.0.0.1/32"
            yield Finding(("source", "allow", place), "bad_network", message)
