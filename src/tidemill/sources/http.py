"""Safe GET and POST over http and https: explicit limits, failures with stable reasons, nothing from the environment.

A host is resolved once for each connection. If the policy refuses any of its addresses there is no connection, else
only those addresses are used. At most three redirects are followed, each under the same policy; credentials are not
sent to another origin (`request`). Gzip and deflate are decompressed within the size limit. One deadline covers name
look-up, connection, redirects and body. The caller judges the body and backs off.
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
from tidemill.sources.hosts import retry_after_s
from tidemill.sources.request import Origin, RequestTarget, Validators, first_target, redirected
from tidemill.sources.resolve import resolve_host
from tidemill.sources.unpack import decompress_body
from tidemill.sources.wire import Connection, Reason, Response, WireError

_MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_STALE_S: Final = (
    0.5  # the server may have closed a connection that was idle for longer: then the request is sent again
)
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
    """An answer with an expected status; headers that the server did not send are "".

    `etag` and `last_modified` are for the `Validators` of the next request, and "" if another origin sent them after a
    redirect. `link`: all `Link` headers, joined. `headers`: by name in lower case."""

    status: int
    content_type: str
    body: bytes
    elapsed_s: float
    etag: str = ""
    last_modified: str = ""
    link: str = ""
    headers: Mapping[str, str] = {}


class FetchFailure(msgspec.Struct, frozen=True):
    """Why there is no answer. `status` and `retry_after_s` are set for `bad_status` if the server sent them."""

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
        self._last_target: tuple[str, dict[str, str], RequestTarget] | None = None  # most requests repeat the last one
        self._kept: tuple[Origin, Connection] | None = None

    @property
    def policy(self) -> AddressPolicy:
        """Which addresses this source may connect to."""
        return self._policy

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        limits: FetchLimits,
        expected: Container[int],
        validators: Validators | None = None,
        *,
        body: bytes | None = None,
    ) -> Fetched | FetchFailure:
        """Fetch `url`, with a `body` by POST; any status not in `expected` is a failure, 304 as well. `validators` are
        of an earlier answer to this URL. Never raises but for cancellation."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(limits.deadline_s):
                first = self._target(url, headers, validators or _NO_VALIDATORS, body)
                response, origin = await self._follow(first, limits)
                answer = decompress_body(response, limits.max_bytes)
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
            answer,
            elapsed,
            etag=_validator(own, "etag"),
            last_modified=_validator(own, "last-modified"),
            link=response.headers.get("link", ""),
            headers=response.headers,
        )

    def close(self) -> None:
        """Close the kept connection."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None

    def _target(
        self, url: str, headers: Mapping[str, str], validators: Validators, body: bytes | None
    ) -> RequestTarget:
        if body is not None:
            return first_target(url, headers, validators, body)
        last = self._last_target
        if last is None or last[0] != url or last[1] != headers or last[2].validators != validators:
            self._last_target = last = url, dict(headers), first_target(url, headers, validators)
        return last[2]

    async def _follow(self, target: RequestTarget, limits: FetchLimits) -> tuple[Response, Origin]:
        """The answer after redirects, and the origin that gave it."""
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._exchange(target, limits)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or location is None:
                return response, target.origin
            target = redirected(target, location, response.status)
        message = f"more than {_MAX_REDIRECTS} redirects: write the final address as source.url, unless they are a loop"
        raise WireError("redirects", message)

    async def _exchange(self, target: RequestTarget, limits: FetchLimits) -> Response:
        origin, request = target.origin, target.request
        connection = self._take_kept(origin)
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

    def _take_kept(self, origin: Origin) -> Connection | None:
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
        for address in await resolve_host(host, port, self._policy):
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
    """The TLS context of all sources: to read the authorities takes tens of milliseconds and a megabyte."""
    return httpx.create_ssl_context(trust_env=False)


def _tls_message(host: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"{host} has no valid certificate ({error.verify_message.rstrip('.')})"
        return f"{what}: it needs one of a public authority, for this name and in date"
    return f"no secure connection to {host} ({error.reason or error}): does it speak TLS on this port?"


def _bad_status(response: Response, elapsed_s: float) -> FetchFailure:
    hint = _HINTS.get(response.status)
    message = f"the server answered {response.status}" + (f": {hint}" if hint else "")
    after_s = retry_after_s(response.headers)
    if after_s:
        message += f" (the server asks to be left alone for {after_s:.0f} s)"
    return FetchFailure("bad_status", message, elapsed_s, response.status, after_s)


def _validator(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    return value if len(value) <= _MAX_VALIDATOR else ""
