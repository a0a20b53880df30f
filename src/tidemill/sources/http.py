"""Safe GET over http and https: every limit stated, every failure with a stable reason, nothing from the environment.

At most three redirects, followed by hand; headers of the feed (credentials) stay with the origin they were meant for.
Gzip and deflate are undone within the size limit. One deadline covers the name, the connection, redirects and the body.
Leaves back-off to the caller. A name is resolved once and exactly the addresses found are connected to (`_addresses`).
"""

import asyncio
import base64
import socket
import ssl
import time
import zlib
from collections.abc import Container, Mapping
from typing import Final
from urllib.parse import unquote

import httpx
import msgspec

from tidemill import __version__
from tidemill.sources.wire import Connection, Reason, Response, WireError

_MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_STALE_S: Final = 0.5  # a kept connection idle for longer may have been closed by the server: worth one more try
_PORTS: Final = {"http": 80, "https": 443}


class Limits(msgspec.Struct, frozen=True):
    """`timeout_s`: longest silence; `deadline_s`: the whole fetch; `max_bytes`: the body, also after unpacking."""

    timeout_s: float = 10.0
    deadline_s: float = 30.0
    max_bytes: int = 8 << 20


class Fetched(msgspec.Struct, frozen=True):
    """An answer with a status that was expected. `content_type` is empty when the server gave none."""

    status: int
    content_type: str
    body: bytes
    elapsed_s: float


class FetchFailure(msgspec.Struct, frozen=True):
    """Why there is no answer. `status` and `retry_after_s` are set for `bad_status` when the server gave them."""

    reason: Reason
    message: str
    elapsed_s: float
    status: int | None = None
    retry_after_s: float | None = None


class _Target(msgspec.Struct, frozen=True):
    """A URL made ready to be asked."""

    url: httpx.URL
    origin: tuple[str, str, int]
    request: bytes


class HttpClient:
    """Fetches for one source: one request at a time, one kept connection. Belongs to the running loop."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._asked: tuple[str, dict[str, str], _Target] | None = None  # the same is asked again and again
        self._kept: tuple[tuple[str, str, int], Connection] | None = None

    async def get(
        self, url: str, headers: Mapping[str, str], limits: Limits, expected: Container[int]
    ) -> Fetched | FetchFailure:
        """Fetch `url`; any status not in `expected` is a failure. Never raises but for cancellation."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(limits.deadline_s):
                response = await self._follow(self._first(url, headers), headers, limits)
                body = _unpacked(response, limits.max_bytes)
        except WireError as error:
            return FetchFailure(error.reason, error.message, time.monotonic() - started)
        except TimeoutError:
            message = f"not complete after {limits.deadline_s:g} s"
            return FetchFailure("timeout", message, time.monotonic() - started)
        except (httpx.InvalidURL, ValueError) as error:
            return FetchFailure("protocol", f"the URL or a header cannot be sent: {error}", time.monotonic() - started)
        elapsed = time.monotonic() - started
        if response.status not in expected:
            message = f"the server answered {response.status}"
            return FetchFailure("bad_status", message, elapsed, response.status, _retry_after(response))
        return Fetched(response.status, response.headers.get("content-type", ""), body, elapsed)

    def close(self) -> None:
        """Drop the kept connection."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None

    def _first(self, url: str, headers: Mapping[str, str]) -> _Target:
        if self._asked is None or self._asked[0] != url or self._asked[1] != headers:
            self._asked = url, dict(headers), _target(httpx.URL(url), headers)
        return self._asked[2]

    async def _follow(self, target: _Target, headers: Mapping[str, str], limits: Limits) -> Response:
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._exchange(target, limits)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or location is None:
                return response
            url = target.url.join(location)
            if target.url.scheme == "https" and url.scheme != "https":
                raise WireError("redirects", f"a redirect leads from https to {url.scheme}")
            if _origin(url) != target.origin:
                headers = {}
            target = _target(url, headers)
        raise WireError("redirects", f"more than {_MAX_REDIRECTS} redirects")

    async def _exchange(self, target: _Target, limits: Limits) -> Response:
        origin, request = target.origin, target.request
        connection = self._take(origin)
        if connection is not None:
            stale = asyncio.get_running_loop().time() - connection.idle_since > _STALE_S
            try:
                return await self._send(origin, connection, request, limits)
            except WireError as error:
                if not (stale and error.untouched):
                    raise
        return await self._send(origin, await self._connect(origin), request, limits)

    async def _send(
        self, origin: tuple[str, str, int], connection: Connection, request: bytes, limits: Limits
    ) -> Response:
        response = await connection.exchange(request, timeout_s=limits.timeout_s, max_bytes=limits.max_bytes)
        if connection.usable:
            self._kept = (origin, connection)
        else:
            connection.close()
        return response

    def _take(self, origin: tuple[str, str, int]) -> Connection | None:
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept[0] == origin and kept[1].usable:
            return kept[1]
        kept[1].close()
        return None

    async def _connect(self, origin: tuple[str, str, int]) -> Connection:
        scheme, host, port = origin
        failure = WireError("refused", f"{host} has no address")
        for address in await _addresses(host, port):
            try:
                return await self._open(scheme, host, address, port)
            except ssl.SSLError as error:
                raise WireError("tls", f"no secure connection to {host}: {error.reason or error}") from None
            except OSError as error:
                failure = WireError("refused", f"cannot connect to {address} port {port}: {error.strerror or error}")
        raise failure

    async def _open(self, scheme: str, host: str, address: str, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        if scheme == "http":
            return (await loop.create_connection(Connection, address, port))[1]
        self._tls = self._tls or httpx.create_ssl_context(trust_env=False)
        return (await loop.create_connection(Connection, address, port, ssl=self._tls, server_hostname=host))[1]


async def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a name, in the resolver's order: what may be connected to is decided here, once."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise WireError("dns", f"the name {host} cannot be resolved: {error}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _target(url: httpx.URL, headers: Mapping[str, str]) -> _Target:
    return _Target(url, _origin(url), _request(url, headers))


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    if url.scheme not in _PORTS or not url.host:
        raise WireError("protocol", f"'{str(url)[:80]}' is not an http or https URL")
    return url.scheme, url.raw_host.decode("ascii").strip("[]"), url.port or _PORTS[url.scheme]


def _request(url: httpx.URL, headers: Mapping[str, str]) -> bytes:
    """The bytes of a GET. Raises ValueError for a header that would break out of its line."""
    lines = {
        "host": url.netloc.decode("ascii"),
        "user-agent": f"tidemill/{__version__}",
        "accept": "*/*",
        "accept-encoding": "gzip",
    }
    if url.userinfo:
        pair = ":".join((unquote(url.username), unquote(url.password)))
        lines["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    lines |= {name.lower(): value for name, value in headers.items()}
    for name, value in lines.items():
        if not name or any(c in f"{name}{value}" for c in "\r\n\0") or ":" in name or " " in name:
            raise ValueError(f"header {name!r} is not sendable")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return b"GET " + url.raw_path + b" HTTP/1.1\r\n" + head.encode("latin-1") + b"\r\n"


def _unpacked(response: Response, max_bytes: int) -> bytes:
    """The body with its content encoding undone. Raises WireError `too_large` or `protocol`."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"} or not response.body:
        return response.body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise WireError("protocol", f"the body is encoded as '{encoding[:20]}', which was not asked for")
    inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, told apart by the header
    try:
        body = inflate.decompress(response.body, max_bytes + 1)
    except zlib.error as error:
        raise WireError("protocol", f"the compressed body is broken: {error}") from None
    if len(body) > max_bytes:
        raise WireError("too_large", f"the body is larger than {max_bytes} bytes when unpacked")
    if not inflate.eof:
        raise WireError("protocol", "the compressed body is cut short")
    return body


def _retry_after(response: Response) -> float | None:
    """`Retry-After` in seconds, if it is given so (dates are not read)."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
