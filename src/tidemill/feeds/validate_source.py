"""What a `[source]` must be beyond its types: something that can be asked, durations, bounds, choices that fit."""

import ipaddress
from collections.abc import Iterator, Sequence

from tidemill import plugins
from tidemill.feeds.convert import DefinitionFault, did_you_mean
from tidemill.feeds.definition import Feed
from tidemill.feeds.durations import duration_findings
from tidemill.feeds.paths import parse_path
from tidemill.feeds.placeholders import placeholder_findings
from tidemill.feeds.source import HTTP, Source, SourcePaging, SourceWindow
from tidemill.feeds.timetable import timetable_findings
from tidemill.model.time import parse_instant


def source_findings(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of a feed's [source]; none if it has no source."""
    source = feed.source
    if source is None:
        return
    yield from _kind(source)
    yield from timetable_findings(source)
    yield from placeholder_findings(source)
    yield from _bounds(source)
    yield from _networks(source.allow)
    if source.window is not None:
        yield from _window(source.window)
    if source.page is not None:
        yield from _page(source.page, source)


def _kind(source: Source) -> Iterator[DefinitionFault]:
    if source.kind == HTTP:
        yield from _url(source.url)
        if source.options:
            yield DefinitionFault(
                ("source", "options"), "conflict", "options are for plug-ins; kind = 'http' takes none"
            )
        return
    offered = plugins.load(plugins.SOURCES)
    if source.kind not in offered:
        message = f"no installed package offers a source '{source.kind[:60]}'{did_you_mean(source.kind, offered)}"
        yield DefinitionFault(("source", "kind"), "unknown_source", message)
    for name in ("url", "params", "headers", "window", "page", "drain", "allow"):
        if getattr(source, name):
            message = f"'{name}' is for kind = 'http'; a plug-in takes what it needs as options"
            yield DefinitionFault(("source", name), "conflict", message)


def _url(text: str) -> Iterator[DefinitionFault]:
    import httpx  # here: it takes 0.2 s, and most who load feeds poll nothing

    if not text:
        yield DefinitionFault(("source", "url"), "missing", "'url' is missing")
        return
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        yield DefinitionFault(("source", "url"), "bad_url", f"'{text[:60]}' is not a URL: {error}")
        return
    if url.scheme not in ("http", "https") or not url.host:
        yield DefinitionFault(("source", "url"), "bad_url", f"'{text[:60]}' is not an http:// or https:// URL")


def _bounds(source: Source) -> Iterator[DefinitionFault]:
    for name in ("timeout", "max_backoff", "open_for", "slow_after"):
        if (text := getattr(source, name)) is not None:
            yield from duration_findings(("source", name), text)
    for name in ("max_bytes", "open_after"):
        if getattr(source, name) < 1:
            yield DefinitionFault(("source", name), "out_of_range", f"{name} is at least 1")


def _networks(allow: Sequence[str]) -> Iterator[DefinitionFault]:
    for place, text in enumerate(allow):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            message = f"{error}; write it such as 10.1.0.0/16 or 127.0.0.1/32"
            yield DefinitionFault(("source", "allow", place), "bad_network", message)


def _window(window: SourceWindow) -> Iterator[DefinitionFault]:
    for name in ("size", "lag", "overlap"):
        text = getattr(window, name)
        if name == "size" or text != "0s":
            yield from duration_findings(("source", "window", name), text)
    try:
        parse_instant(window.start)
    except ValueError as error:
        yield DefinitionFault(("source", "window", "start"), "bad_time", str(error))


def _page(page: SourcePaging, source: Source) -> Iterator[DefinitionFault]:
    key = ("source", "page")
    for name in ("window", "drain"):
        if getattr(source, name):
            yield DefinitionFault(key, "conflict", f"a source is read by pages or by '{name}', not both")
    if page.max_pages < 1:
        yield DefinitionFault((*key, "max_pages"), "out_of_range", "max_pages is at least 1")
    if page.by == "link":
        for name in ("cursor_path", "param", "start", "keep"):
            if getattr(page, name):
                yield DefinitionFault(
                    (*key, name), "conflict", "by = 'link' follows the Link header and takes no cursor"
                )
        return
    if page.cursor_path is None:
        yield DefinitionFault((*key, "cursor_path"), "missing", "say where the next cursor is, such as '$.next'")
        return
    try:
        if not parse_path(page.cursor_path):
            yield DefinitionFault(
                (*key, "cursor_path"), "bad_path", "'$' is the whole answer; name a member such as $.next"
            )
    except ValueError as error:
        yield DefinitionFault((*key, "cursor_path"), "bad_path", str(error))
