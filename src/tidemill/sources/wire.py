"""An HTTP/1.1 connection: sends the bytes of a request and reads one response within limits. No redirects, no retries.

httptools parses. This file adds what a poller needs and a general client lacks: a size limit that ends the connection
at the first byte too many, a read time-out, and a reason for every kind of failure. Measured on the reference machine
(uvloop, keep-alive, 60-byte bodies): 0.1 ms of CPU a request, where httpx takes 0.8 ms and so cannot drain a source of
1,000 points/s beside submitting them.
"""

import asyncio
from typing import Final, Literal, cast

import httptools
import msgspec

Reason = Literal[
    "timeout", "too_large", "refused", "dns", "tls", "bad_status", "redirects", "address", "protocol", "token"
]

_MAX_HEAD_BYTES: Final = 64 * 1024
_LONG_HEAD: Final = f"the headers are longer than {_MAX_HEAD_BYTES} bytes: the server is at fault"
_BODILESS: Final = frozenset({204, 304})  # the content-length of such a response is that of another one


class WireError(Exception):
    """An exchange failed. `untouched`: no byte of a response had been received."""

    def __init__(self, reason: Reason, message: str, *, untouched: bool = False) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.untouched = untouched


class Response(msgspec.Struct, frozen=True):
    """A complete response; `body` as received (chunks joined, still compressed). Header names are in lower case,
    headers received several times are joined by commas, trailers are left out."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """Sends one request at a time and returns its response. `usable` is false once an exchange failed."""

    def __init__(self) -> None:
        self.usable = False
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None

    async def exchange(self, request: bytes, *, timeout_s: float, max_bytes: int) -> Response:
        """Send `request` and return the response. Raises WireError: `timeout` after `timeout_s` without a byte,
        `too_large` for a body over `max_bytes`, `protocol` for an invalid or incomplete response."""
        if self._transport is None or not self.usable:
            raise WireError("protocol", "the connection was closed", untouched=True)
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_size = self._header_size = 0
        self._max_bytes = max_bytes
        self._head_done = self._complete = False
        self._timeout_s = timeout_s
        self._last_byte = self._loop.time()
        self._waiting = self._loop.create_future()
        self._timer = self._loop.call_later(timeout_s, self._check_time)
        try:
            self._transport.write(request)
            return await self._waiting
        finally:
            self._timer.cancel()
            if not self._complete:
                self.close()
            self._waiting = None
            self.idle_since = self._loop.time()

    def close(self) -> None:
        """Abort the connection, also during an exchange."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Feed received bytes to the parser."""
        if self._waiting is None or self._waiting.done():
            self.close()  # bytes without a request
            return
        self._last_byte = self._loop.time()
        if not self._head_done:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("protocol", "the server switched protocols")
        except httptools.HttpParserError as error:
            self._fail("protocol", f"the answer is not HTTP ({error}): look at the port and the scheme of source.url")
        if not self._head_done and self._head_size > _MAX_HEAD_BYTES:
            self._fail("protocol", _LONG_HEAD)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection was closed; this ends a body without a stated length, and fails any other exchange."""
        self.usable = False
        if self._waiting is None or self._waiting.done():
            return
        if error is None and self._head_done and not {"content-length", "transfer-encoding"} & self._headers.keys():
            self._finish()
        else:
            what = "reset" if isinstance(error, ConnectionResetError) else "closed"
            message = f"the connection was {what} before the answer was complete, after {len(self._body)} bytes of body"
            self._fail("protocol", f"{message}: the server or a proxy is at fault", untouched=self._head_size == 0)

    # httptools

    def on_message_begin(self) -> None:
        """A response begins; after a complete response it is a second one, which makes the connection unusable."""
        if self._complete:
            self.usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the response, or a trailer."""
        self._header_size += len(name) + len(value)
        if self._header_size > _MAX_HEAD_BYTES:
            self._fail("protocol", _LONG_HEAD)
        if not self._head_done:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The head is complete; fails at once if the stated length of the body is too large."""
        self._head_done = True
        if self._parser.get_status_code() in _BODILESS:
            return
        length = self._headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > self._max_bytes:
            self._too_large()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if len(self._body) + len(body) > self._max_bytes:
            self._too_large()
        else:
            self._body += body  # not a list of parts: a body may come in chunks of one byte

    def on_message_complete(self) -> None:
        """The response is complete; interim responses (1xx) are ignored."""
        if 100 <= self._parser.get_status_code() < 200:
            self._headers, self._head_done = {}, False
            return
        if not self._parser.should_keep_alive():
            self.usable = False
        self._finish()

    def _finish(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._complete = True
            status = self._parser.get_status_code()
            self._waiting.set_result(Response(status, self._headers, bytes(self._body)))

    def _too_large(self) -> None:
        message = f"the body is larger than {self._max_bytes} bytes: ask for less at once, or raise source.max_bytes"
        self._fail("too_large", message)

    def _fail(self, reason: Reason, message: str, *, untouched: bool = False) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(WireError(reason, message, untouched=untouched))
        self.close()

    def _check_time(self) -> None:
        left = self._last_byte + self._timeout_s - self._loop.time()
        if left <= 0:
            message = f"no byte came for {self._timeout_s:g} s: if the server is only slow, raise source.timeout"
            self._fail("timeout", message)
        else:
            self._timer = self._loop.call_later(left, self._check_time)
