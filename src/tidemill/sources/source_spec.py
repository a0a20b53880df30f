"""Compiles a feed's [source] to the work of poller tasks: a `SourceSpec` for each item that `each` names.

Pure. A `SourceSpec` holds numbers and whole texts where the definition holds durations and templates. Two definitions
of the same polling compile to equal specs, so that an unrelated change of a feed does not restart its source.
"""

import base64
import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import httpx
import msgspec

from tidemill.feeds.definition import Attribute, Feed, Field, Tag
from tidemill.feeds.durations import requests_per_second
from tidemill.feeds.paths import Path, in_record, parse_path
from tidemill.feeds.placeholders import fill_url, placeholder_names, request_texts
from tidemill.feeds.source import DEFAULT_EVERY, HTTP, Source, SourceOAuth2
from tidemill.model.time import NS_PER_S, duration_ns, parse_instant
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.answers import ExpectedAnswer
from tidemill.sources.body import RequestBody, compile_body
from tidemill.sources.bounds import Bounds
from tidemill.sources.mqtt_spec import MqttSpec, compile_mqtt
from tidemill.sources.pacing import Backoff, CircuitBreaker
from tidemill.sources.paging import Paging, origin_of
from tidemill.sources.poll_windows import PollWindows
from tidemill.sources.schedule import Cron, Every, Schedule


class SourceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The compiled source of one item. `item` distinguishes the items of a feed (`muid=...`; "" if there is no `each`).
    `item_values` are the values of `each`, `tag_names` the placeholders that tags use. `expected` is what the feed
    declares of an answer. `limit` is the URL's parameter of that name: an answer with so many records is probably
    incomplete; None: there is no such number. `interval_s`: the shortest time between requests to the host. `kind`
    names the plug-in, which gets `options`, or is `http`, or `mqtt`: then there is `mqtt`, and no `url`."""

    tenant: str
    feed: str
    item: str
    item_values: dict[str, str]
    tag_names: tuple[str, ...]
    kind: str
    options: dict[str, Any]
    url: str
    headers: dict[str, str]
    body: RequestBody | None
    oauth2: SourceOAuth2 | None
    allow: AddressPolicy
    schedule: Schedule
    drain: bool
    empty_status: tuple[int, ...]
    conditional: bool
    skip_unchanged: bool
    timeout_s: float
    slow_after_s: float
    max_bytes: int
    breaker: CircuitBreaker
    interval_s: float | None
    windows: PollWindows | None
    paging: Paging | None
    expected: ExpectedAnswer
    limit: int | None
    secrets: tuple[str, ...]
    mqtt: MqttSpec | None = None

    def tag_values(self, values: Mapping[str, str] | None = None) -> dict[str, str]:
        """The placeholder values that tags use. `values`: those of one request (`start`, `cursor`, ...)."""
        known = {**self.item_values, **(values or {})}
        return {name: known[name] for name in self.tag_names if name in known}

    @property
    def origin(self) -> str:
        """The host of the requests: `https://api.example.com:443`; "" for a plug-in, whose host is not known."""
        if not self.url:
            return ""
        return origin_of(self.url)

    @property
    def key(self) -> str:
        """The source's key in the catalog: `sources/{tenant}/{feed}/{item}`."""
        return source_key(self.tenant, self.feed, self.item)

    def __repr__(self) -> str:
        return f"Pull({self.key})"  # without the values: they may be secrets


def source_key(tenant: str, feed: str, item: str) -> str:
    """The key of a source in the catalog, with quoted parts: `sources/{tenant}/{feed}/{item}`."""
    return "/".join(("sources", *(quote(part, safe="=.,-_") or "-" for part in (tenant, feed, item))))


def compile_specs(tenant: str, feed: Feed) -> list[SourceSpec]:
    """The specs of a feed, one for each item; [] if it has no source. Raises ValueError with a sentence if the source
    cannot be polled."""
    source = feed.source
    if source is None:
        return []
    values = [
        [(name, value.strip()) for value in text.split(",") if value.strip()] for name, text in source.each.items()
    ]
    return [_compile_item(tenant, feed, source, dict(item_values)) for item_values in itertools.product(*values)]


def _compile_item(tenant: str, feed: Feed, source: Source, item_values: dict[str, str]) -> SourceSpec:
    own = source.kind == HTTP
    url, login = _without_login(_item_url(source, item_values)) if own else ("", {})
    login |= _credentials(source)
    timeout_s = _seconds(source.timeout)
    body = None if source.body is None else compile_body(source.body)
    return SourceSpec(
        tenant=tenant,
        feed=feed.name,
        item=",".join(f"{name}={value}" for name, value in item_values.items()),
        kind=source.kind,
        item_values=item_values,
        tag_names=tuple(
            dict.fromkeys(name for tag in feed.tags.values() for name in placeholder_names(tag.value or ""))
        ),
        options={} if own else {**source.options, **item_values},
        url=url,
        headers={**_body_headers(body), **login, **{name.lower(): value for name, value in source.headers.items()}},
        body=body,
        oauth2=source.oauth2,
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
        interval_s=None if source.rate is None else 1 / requests_per_second(source.rate),
        windows=_windows(source),
        paging=_paging(source),
        expected=expected_answer(feed),
        limit=_limit(url),
        mqtt=compile_mqtt(source),
        secrets=(*source.hidden, *(text.split()[-1] for text in login.values() if source.hidden)),
    )


def expected_answer(feed: Feed) -> ExpectedAnswer:
    """What a feed declares of an answer of its source."""
    source, layout = feed.source or Source(), feed.input.layout
    named: list[Tag | Field | Attribute] = [*feed.tags.values(), *feed.fields.values(), *feed.attributes.values()]
    needed = [member.path for member in named if member.path is not None and member.required]
    every = [member.path for member in named if member.path is not None]
    time = [] if feed.time.path is None else [feed.time.path]
    time += [path for path in (feed.time.step_path, feed.time.rate_path) if path is not None]
    long = feed.registers is not None and feed.registers.of_long_format
    pair = [path for path in (feed.registers.name_path, feed.registers.value_path) if path] if feed.registers else []
    columnar = feed.input.columns is not None
    tags = [tag.path for tag in feed.tags.values() if tag.path is not None]
    around = not all(in_record(parse_path(path)) for path in time + tags)
    of_samples = feed.shape.kind == "samples"

    def members(paths: list[str]) -> tuple[Path, ...]:
        """The members of the record itself; those around it say nothing about it."""
        return () if of_samples else tuple(filter(in_record, map(parse_path, paths)))

    return ExpectedAnswer(
        formats=("json",) if columnar else feed.input.formats,
        records=parse_path(feed.input.root),
        columnar=columnar,
        needed=members(time + needed + pair[:1]),
        members=() if feed.registers is not None and not long else members(time + every + pair),
        identity=() if around or feed.time.steps else members(time + tags + pair[:1]),
        layout=None if layout is None else (layout.header_bytes, layout.record_bytes),
        error=_error_path(source),
        nothing=tuple((parse_path(sign.path), sign) for sign in source.nothing),
    )


def _error_path(source: Source) -> Path | None:
    if source.error_path is not None:
        return parse_path(source.error_path)
    return ("errors",) if source.body is not None and source.body.graphql is not None else None


def _item_url(source: Source, item_values: dict[str, str]) -> str:
    """The URL of one item: its values fill placeholders; a value without a placeholder becomes a query parameter."""
    written = {name for _, text in request_texts(source) for name in placeholder_names(text)}
    key = source.api_key
    own = {key.param: key.value} if key is not None and key.param is not None else {}
    params = {**source.params, **own, **{name: value for name, value in item_values.items() if name not in written}}
    placeholders = {name: value for name, value in item_values.items() if name in written}
    return fill_url(_url_with_params(source.url, params), placeholders)


def _credentials(source: Source) -> dict[str, str]:
    """The headers of [source.basic] and [source.api_key]."""
    headers = {}
    if source.basic is not None:
        pair = f"{source.basic.user}:{source.basic.password}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    if source.api_key is not None and source.api_key.header is not None:
        headers[source.api_key.header.lower()] = source.api_key.prefix + source.api_key.value
    return headers


def _body_headers(body: RequestBody | None) -> dict[str, str]:
    return {} if body is None else {"content-type": body.content_type}


def _without_login(text: str) -> tuple[str, dict[str, str]]:
    """A URL without user and password, and the header made of them, so that neither is in a link or a cursor."""
    url = httpx.URL(text)
    if not url.userinfo:
        return text, {}
    pair = f"{unquote(url.username)}:{unquote(url.password)}"
    header = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return text.replace(f"{url.userinfo.decode('ascii')}@", "", 1), header


def _url_with_params(text: str, params: dict[str, str]) -> str:
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
    cron.due_ns(0)  # raises for an expression that cannot be used
    return cron


def _breaker(source: Source) -> CircuitBreaker:
    backoff = Backoff(cap_s=_seconds(source.max_backoff))
    return CircuitBreaker(open_after=source.open_after, open_for_s=_seconds(source.open_for), backoff=backoff)


def _windows(source: Source) -> PollWindows | None:
    window = source.window
    if window is None:
        return None
    return PollWindows(
        start_ns=parse_instant(window.start),
        size_ns=duration_ns(window.size),
        lag_ns=_ns_or_zero(window.lag),
        overlap_ns=_ns_or_zero(window.overlap),
        bounds=Bounds(window.format, window.zone, window.end == "inclusive"),
    )


def _paging(source: Source) -> Paging | None:
    page = source.page
    if page is None:
        return None
    return Paging(
        by=page.by,
        path=parse_path(page.cursor_path or "$"),
        header=page.cursor_header or "",
        param=page.param,
        start=page.start or {"page": "1", "offset": "0"}.get(page.by, ""),
        keep=page.keep,
        size=page.size,
        origins=tuple(map(origin_of, page.origins)),
        max_pages=page.max_pages,
    )


def _seconds(text: str) -> float:
    return duration_ns(text) / NS_PER_S


def _ns_or_zero(text: str) -> int:
    """A duration in ns that may be zero (`0s`)."""
    return 0 if text.strip().rstrip("nuµmsihdw") in {"0", ""} else duration_ns(text)
