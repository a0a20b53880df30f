"""Validates a [source] beyond its types: a URL or an installed plug-in, durations, bounds, choices that fit."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final

from tidemill import plugins
from tidemill.feeds.convert import DefinitionFault, did_you_mean
from tidemill.feeds.definition import Feed
from tidemill.feeds.durations import duration_faults, requests_per_second
from tidemill.feeds.key_lines import Key
from tidemill.feeds.placeholders import placeholder_faults
from tidemill.feeds.source import HTTP, MQTT, Source, SourceNothing, SourcePaging, SourceWindow
from tidemill.feeds.timetable import timetable_faults
from tidemill.feeds.validate_login import LOGIN_KEYS, login_faults
from tidemill.feeds.validate_mqtt import mqtt_faults
from tidemill.feeds.validate_paths import document_path_fault, plain_path_fault
from tidemill.model.time import parse_instant
from tidemill.model.zones import zone


def source_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of a feed's [source]; none if it has no source."""
    source = feed.source
    if source is None:
        return
    yield from mqtt_faults(feed, source) if source.kind == MQTT else _kind_faults(source)
    yield from timetable_faults(source)
    yield from placeholder_faults(feed, source)
    yield from login_faults(source)
    yield from _bound_faults(source)
    yield from _network_faults(source.allow)
    if source.error_path is not None:
        yield from _path_faults(("source", "error_path"), source.error_path, example="$.error")
    for number, sign in enumerate(source.nothing):
        yield from _nothing_faults(("source", "nothing", number), sign)
    if source.window is not None:
        yield from _window_faults(source.window)
    if source.page is not None:
        yield from _page_faults(source.page, source)


def _kind_faults(source: Source) -> Iterator[DefinitionFault]:
    if source.kind == HTTP:
        yield from _url_faults(source.url)
        if source.options:
            yield DefinitionFault(
                ("source", "options"), "conflict", "options are for plug-ins; kind = 'http' takes none"
            )
        if source.mqtt is not None:
            yield DefinitionFault(("source", "mqtt"), "conflict", "[source.mqtt] is for kind = 'mqtt'")
        return
    offered = plugins.load_plugins(plugins.SOURCES)
    if source.kind not in offered:
        message = f"no installed package offers a source '{source.kind[:60]}'{did_you_mean(source.kind, offered)}"
        yield DefinitionFault(("source", "kind"), "unknown_source", message)
    for name in ("url", "params", "headers", "window", "page", "mqtt", "drain", "allow", "rate", *LOGIN_KEYS):
        if getattr(source, name):
            message = f"'{name}' is for kind = 'http'; a plug-in takes what it needs as options"
            yield DefinitionFault(("source", name), "conflict", message)


def _url_faults(text: str) -> Iterator[DefinitionFault]:
    import httpx  # imported here because it takes 0.2 s and most processes that load feeds do not poll

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


def _bound_faults(source: Source) -> Iterator[DefinitionFault]:
    for name in ("timeout", "max_backoff", "open_for", "slow_after"):
        if (text := getattr(source, name)) is not None:
            yield from duration_faults(("source", name), text)
    if source.rate is not None:
        try:
            requests_per_second(source.rate)
        except ValueError as error:
            yield DefinitionFault(("source", "rate"), "bad_rate", str(error))
    for name in ("max_bytes", "open_after"):
        if getattr(source, name) < 1:
            yield DefinitionFault(("source", name), "out_of_range", f"{name} is at least 1")


def _network_faults(allow: Sequence[str]) -> Iterator[DefinitionFault]:
    for number, text in enumerate(allow):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            message = f"{error}; write it such as 10.1.0.0/16 or 127.0.0.1/32"
            yield DefinitionFault(("source", "allow", number), "bad_network", message)


def _path_faults(key: Key, text: str, *, example: str) -> Iterator[DefinitionFault]:
    """The fault of a path that must name a member of an answer."""
    if (fault := plain_path_fault(text, example)) is not None:
        yield DefinitionFault(key, "bad_path", fault)


def _nothing_faults(key: Key, sign: SourceNothing) -> Iterator[DefinitionFault]:
    if (fault := document_path_fault(sign.path)) is not None:
        yield DefinitionFault((*key, "path"), "bad_path", fault)
    if (sign.equals is None) != sign.absent:
        message = "say what stands at the path when there is nothing: equals = <value>, or absent = true, not both"
        yield DefinitionFault((*key, "equals"), "conflict" if sign.absent else "missing", message)


def _window_faults(window: SourceWindow) -> Iterator[DefinitionFault]:
    for name in ("size", "lag", "overlap"):
        text = getattr(window, name)
        if name == "size" or text != "0s":
            yield from duration_faults(("source", "window", name), text)
    try:
        parse_instant(window.start)
    except ValueError as error:
        yield DefinitionFault(("source", "window", "start"), "bad_time", str(error))
    yield from _window_format_faults(window)


def _window_format_faults(window: SourceWindow) -> Iterator[DefinitionFault]:
    """Faults of the format and the zone in which bounds are written."""
    key = ("source", "window")
    if window.format not in _WINDOW_FORMATS and "%" not in window.format:
        hint = did_you_mean(window.format, _WINDOW_FORMATS)
        message = f"'{window.format[:40]}' is no format of a bound{hint}; or a pattern such as '%Y-%m-%d %H:%M:%S'"
        yield DefinitionFault((*key, "format"), "unknown_format", message)
    if "%" in window.format and (odd := _unknown_directive(window.format)):
        yield DefinitionFault((*key, "format"), "bad_pattern", f"{odd} is no directive of strftime that says a time")
    elif "%" in window.format and (why := _lacking_directive(window.format)):
        yield DefinitionFault((*key, "format"), "bad_pattern", why)
    if zone(window.zone) is None:
        message = f"there is no zone '{window.zone[:60]}'; write it as Europe/Zurich"
        yield DefinitionFault((*key, "zone"), "unknown_zone", message)
    elif window.zone != "UTC" and window.format in ("rfc3339", "unix_s", "unix_ms"):
        yield DefinitionFault(
            (*key, "zone"), "conflict", f"'{window.format}' says an instant; a zone is for clock times"
        )


def _unknown_directive(pattern: str) -> str:
    """The first directive of a pattern that is no directive of date and time; "" if there is none."""
    return next((directive for directive in re.findall(r"%.?", pattern) if directive[1:] not in _DIRECTIVES), "")


def _lacking_directive(pattern: str) -> str:
    """What a pattern does not say, so that several bounds would be written alike; "" if it says a day and its hour."""
    given = set(re.findall(r"%(.)", pattern))
    if not given & set("djFD"):
        return "a bound needs its day: %d with the month, %j, %F or %D"
    return "%I is one of two hours of the day: write %I with %p, or %H" if "I" in given and "p" not in given else ""


_WINDOW_FORMATS: Final = ("date", "local", "rfc3339", "unix_ms", "unix_s")
_DIRECTIVES: Final = frozenset("YmdHMSyjTRDFfzpIBbe%")


def _page_faults(page: SourcePaging, source: Source) -> Iterator[DefinitionFault]:
    key = ("source", "page")
    for name in ("window", "drain"):
        if getattr(source, name):
            yield DefinitionFault(key, "conflict", f"a source is read by pages or by '{name}', not both")
    if page.max_pages < 1 or (page.size is not None and page.size < 1):
        yield DefinitionFault((*key, "max_pages" if page.max_pages < 1 else "size"), "out_of_range", "it is at least 1")
    for name in _PAGE_KEYS - _KEYS_OF[page.by]:
        if getattr(page, name):
            message = f"by = '{page.by}' takes no {name}; it takes {', '.join(sorted(_KEYS_OF[page.by]))}"
            yield DefinitionFault((*key, name), "conflict", message)
    if page.by in ("cursor", "url") and (page.cursor_path is None) == (page.cursor_header is None):
        both = "one of cursor_path and cursor_header, not both" if page.cursor_path else "such as '$.next'"
        yield DefinitionFault((*key, "cursor_path"), "missing", f"say where the next cursor or URL is: {both}")
    if page.cursor_path is not None:
        yield from _path_faults((*key, "cursor_path"), page.cursor_path, example="$.next")
    if page.by in ("page", "offset") and page.start and not (page.start.isascii() and page.start.isdigit()):
        yield DefinitionFault(
            (*key, "start"), "out_of_range", "the first page or record is a whole number, such as '0'"
        )
    for number, origin in enumerate(page.origins):
        for fault in _url_faults(origin):
            yield DefinitionFault((*key, "origins", number), fault.code, f"{fault.message}; write https://host")


_KEYS_OF: Final[dict[str, set[str]]] = {
    "cursor": {"cursor_path", "cursor_header", "param", "start", "keep"},
    "link": {"origins"},
    "url": {"cursor_path", "origins"},
    "page": {"param", "start", "size"},
    "offset": {"param", "start", "size"},
}
_PAGE_KEYS: Final = {"cursor_path", "cursor_header", "param", "start", "keep", "size", "origins"}
