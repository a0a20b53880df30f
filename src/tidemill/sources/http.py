"""Safe GET over http and https: every limit stated, every failure with a stable reason, nothing from the environment.

A host is resolved once for each connection; if the policy refuses any of its addresses nothing is connected to, else
exactly those addresses are. At most three redirects, followed by hand, each judged anew; what belongs to an origin
stays with it (`request`). Gzip and deflate are undone within the size limit. One deadline covers the name, the
connection, redirects and the body. What a body means, HTML or not, and back-off are the caller's.
"""

import asyncio
import functools
import ssl
import time
from collections.abc import Container, Mapping
from typing import Final

import httpx
import msgspec

from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.request import Origin, RequestTarget, Validators, first_target, redirected
from tidemill.sources.resolve import resolve
from tidemill.sources.unpack import unpacked
from tidemill.sources.wire import Connection, Reason, Response, WireError

_MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_STALE_S: Final = 0.5  # a kept connection idle for longer may have been closed by the server: worth one more try
_MAX_VALIDATOR: Final = 1024  # a longer one is not worth keeping and sending back
_NO_VALIDATORS: Final = Validators()
_HINTS: Final = {
    401: "look at the credentials in [source] headers",
    403: "look at the credentials in [source] headers",
    404: "look at source.url",
    410: "look at source.url",
    429: "it is asked too often, raise source.every",
}


class FetchLimits(msgspec.Struct, frozen=True):
    """`timeout_s`: longest silence, also while connecting to an address; `deadline_s`: the whole fetch; `max_bytes`:
    the body, also after unpacking."""

    timeout_s: float = 10.0
    deadline_s: float = 30.0
    max_bytes: int = 8 << 20


class Fetched(msgspec.Struct, frozen=True):
    """An answer with a status that was expected; headers that the server did not give are empty.

    `etag` and `last_modified` are for `Validators` of the next request, and empty if another origin gave them after a
    redirect. `link`: all its `Link` headers as one."""

    status: int
    content_type: str
    body: bytes
    elapsed_s: float
    etag: str = ""
    last_modified: str = ""
    link: str = ""


class FetchFailure(msgspec.Struct, frozen=True):
    """Why there is no answer. `status` and `retry_after_s` are set for `bad_status` when the server gave them."""

    reason: Reason
    message: str
    elapsed_s: float
    status: int | None = None
    retry_after_s: float | None = None


class HttpClient:
    """Fetches for one source: one request at a time, one kept connection. Belongs to the running loop.

    `tls` None: the certificate must be of a public authority and for the host of the URL."""

    def __init__(self, policy: AddressPolicy, tls: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._tls = tls
        self._asked: tuple[str, dict[str, str], RequestTarget] | None = None  # the same is asked again and again
        self._kept: tuple[Origin, Connection] | None = None

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        limits: FetchLimits,
        expected: Container[int],
        validators: Validators | None = None,
    ) -> Fetched | FetchFailure:
        """Fetch `url`; any status not in `expected` is a failure, 304 as well. `validators` are of an earlier answer to
        this URL. Never raises but for cancellation."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(limits.deadline_s):
                first = self._first(url, headers, validators or _NO_VALIDATORS)
                response, origin = await self._follow(first, limits)
                body = unpacked(response, limits.max_bytes)
        except WireError as error:
            return FetchFailure(error.reason, error.message, time.monotonic() - started)
        except TimeoutError:
            message = f"not complete after {limits.deadline_s:g} s: ask for less at once, or raise source.timeout"
            return FetchFailure("timeout", message, time.monotonic() - started)
        elapsed = time.monotonic() - started
        if response.status not in expected:
            return _bad_status(response, elapsed)
        own = response.headers if origin == first.origin else {}
        return Fetched(
            response.status,
            response.headers.get("content-type", ""),
            body,
            elapsed,
            etag=_validator(own, "etag"),
            last_modified=_validator(own, "last-modified"),
            link=response.headers.get("link", ""),
        )

    def close(self) -> None:
        """Drop the kept connection."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None

    def _first(self, url: str, headers: Mapping[str, str], validators: Validators) -> RequestTarget:
        asked = self._asked
        if asked is None or asked[0] != url or asked[1] != headers or asked[2].validators != validators:
            self._asked = asked = url, dict(headers), first_target(url, headers, validators)
        return asked[2]

    async def _follow(self, target: RequestTarget, limits: FetchLimits) -> tuple[Response, Origin]:
        """The answer after redirects, and the origin that gave it."""
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._exchange(target, limits)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or location is None:
                return response, target.origin
            target = redirected(target, location)
        message = f"more than {_MAX_REDIRECTS} redirects: write the final address as source.url, unless they are a loop"
        raise WireError("redirects", message)

    async def _exchange(self, target: RequestTarget, limits: FetchLimits) -> Response:
        origin, request = target.origin, target.request
        connection = self._take(origin)
        if connection is not None:
            stale = asyncio.get_running_loop().time() - connection.idle_since > _STALE_S
            try:
                return await self._send(origin, connection, request, limits)
            except WireError as error:
                if not (stale and error.untouched):
                    raise
        return await self._send(origin, await self._connect(origin, limits.timeout_s), request, limits)

    async def _send(self, origin: Origin, connection: Connection, request: bytes, limits: FetchLimits) -> Response:
        response = await connection.exchange(request, timeout_s=limits.timeout_s, max_bytes=limits.max_bytes)
        if connection.usable:
            self._kept = (origin, connection)
        else:
            connection.close()
        return response

    def _take(self, origin: Origin) -> Connection | None:
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept[0] == origin and kept[1].usable:
            return kept[1]
        kept[1].close()
        return None

    async def _connect(self, origin: Origin, timeout_s: float) -> Connection:
        scheme, host, port = origin
        failure = WireError("dns", f"the name {host} has no address")
        for address in await resolve(host, port, self._policy):
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._open(scheme, host, address, port)
            except ssl.SSLError as error:
                raise WireError("tls", _tls_message(host, error)) from None
            except TimeoutError:
                failure = WireError("timeout", f"no connection to {address} port {port} within {timeout_s:g} s")
            except OSError as error:
                message = f"cannot connect to {address} port {port} ({error.strerror or error}): is the server running?"
                failure = WireError("refused", message)
        raise failure

    async def _open(self, scheme: str, host: str, address: str, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        if scheme == "http":
            return (await loop.create_connection(Connection, address, port))[1]
        name = host.partition("%")[0].removesuffix(".")  # a certificate names neither a scope nor the root
        tls = self._tls or _public_tls()
        return (await loop.create_connection(Connection, address, port, ssl=tls, server_hostname=name))[1]


@functools.cache
def _public_tls() -> ssl.SSLContext:
    """One for all sources: reading the authorities takes tens of milliseconds and a megabyte."""
    return httpx.create_ssl_context(trust_env=False)


def _tls_message(host: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"{host} has no valid certificate ({error.verify_message.rstrip('.')})"
        return f"{what}: it needs one of a public authority, for this name and in date"
    return f"no secure connection to {host} ({error.reason or error}): does it speak TLS on this port?"


def _bad_status(response: Response, elapsed_s: float) -> FetchFailure:
    hint = _HINTS.get(response.status)
    message = f"the server answered {response.status}" + (f": {hint}" if hint else "")
    return FetchFailure("bad_status", message, elapsed_s, response.status, _retry_after(response))


def _validator(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    return value if len(value) <= _MAX_VALIDATOR else ""


def _retry_after(response: Response) -> float | None:
    """`Retry-After` in seconds, if it is given so (dates are not read)."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
