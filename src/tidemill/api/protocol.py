"""uvicorn's HTTP/1.1 protocol with the limits that it lacks: the size of a request without its body, how long a request
may take to arrive, from its first byte to its last (`408`, then the connection is closed), and how long a client may
leave its answer unread.

The server enforces the deadlines of all connections every half second, which costs less than a timer for each request.
Malformed HTTP gets a problem document, in its order among the answers of its connection. Trailers are counted and
ignored: they never become headers.
"""

from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidemill.api import problems
from tidemill.api.problems import HttpAnswer

MAX_HEAD_BYTES: Final = 64 << 10  # request line and headers; and again, chunk extensions and trailers
PLAIN_CHUNK_BYTES: Final = 12  # the framing of a chunk without extensions: a size of up to 8 digits and two line ends
_MALFORMED: Final = "This is not a well-formed HTTP/1.1 request."


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `arrival_s`: seconds that a request may take to arrive, and a new connection may be silent."""

    arrival_s = 30.0

    def connection_made(self, transport: Any) -> None:
        """Start the time limit of a connection that never sends anything."""
        super().connection_made(transport)
        self._began: float | None = self.loop.time()
        self._silent = True
        self._unread = (0, 0.0)
        self._in_head = True
        self._head_bytes = 0
        self._beside_bytes = 0  # of the body under way: chunk extensions and trailers so far
        self._refusal: HttpAnswer | None = None

    def data_received(self, data: bytes) -> None:
        """Parse, and count the bytes outside of bodies. After a refused request nothing is parsed any more."""
        if self._refusal is not None:
            return
        self._unset_keepalive_if_required()
        in_head = self._in_head
        if in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self._head_ends_early(data):
                self._refuse("headers_too_large", f"The headers are larger than {MAX_HEAD_BYTES} bytes.")
                return
        self._beside_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # answered as HTTP/1.1, then the connection closes: the next bytes would be of another protocol
        except httptools.HttpParserError:
            self._refuse("invalid", _MALFORMED)
        self._beside_bytes = 0 if in_head or self._in_head else max(0, self._beside_bytes)
        if self._beside_bytes > MAX_HEAD_BYTES:
            detail = f"The chunk extensions and trailers are larger than {MAX_HEAD_BYTES} bytes."
            self._refuse("headers_too_large", detail)

    def on_message_begin(self) -> None:
        """The first byte of a request was received."""
        super().on_message_begin()
        self._began = self.loop.time()
        self._silent = False

    def on_headers_complete(self) -> None:
        """The headers of a request were received; its body comes next."""
        self._in_head = False
        if not self.url.startswith(b"/"):
            self._use_url_authority()
        super().on_headers_complete()
        self.headers = []  # trailers go here, away from the headers of the request
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """The next chunk of the body begins; its plain framing is not counted."""
        self._beside_bytes -= PLAIN_CHUNK_BYTES

    def on_body(self, body: bytes) -> None:
        """A piece of the body was received."""
        self._beside_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request was received; the next one may follow."""
        self._began = None
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer was sent; a refusal that waited for it is sent next."""
        was_last = not self.pipeline
        super().on_response_complete()
        if was_last and self._refusal is not None and not self.transport.is_closing():
            self._write(self._refusal)
            self._abandon()

    def enforce_deadlines(self, now: float) -> None:
        """End the connection if its request takes longer than `arrival_s` to arrive, or its answer stays unread as
        long. `now` is the time of the event loop in seconds."""
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0 or waiting != self._unread[0]:
            self._unread = (waiting, now)
        elif now - self._unread[1] > self.arrival_s:
            self.transport.abort()
            return
        if self._began is None or now - self._began <= self.arrival_s:
            return
        if self._silent:
            self._abandon()
        else:
            self._refuse("too_slow", f"The request did not arrive within body_timeout ({self.arrival_s:g} s).")

    def _use_url_authority(self) -> None:
        """Replace `Host` by the authority of a request line with a whole URL (RFC 9112, 3.2.2). A request without
        `Host`, or with two, stays as sent and is refused."""
        host = httptools.parse_url(self.url).host
        if host is not None and sum(name == b"host" for name, _ in self.headers) == 1:
            authority = self.url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
            self.headers[:] = [(name, authority if name == b"host" else value) for name, value in self.headers]

    def _refuse(self, code: str, detail: str) -> None:
        """Answer the arriving request with a problem document, after the answers to earlier requests, and close."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._began = None
        self._refusal = problems.problem_document(code, detail)
        cycle = self.cycle
        if cycle is not None and not self._in_head and self.pipeline:
            self.pipeline.popleft()  # the refused request itself, which is queued
        elif cycle is None or cycle.response_complete or not self._in_head:
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self._write(self._refusal)
            self._abandon()

    def _head_ends_early(self, data: bytes) -> bool:
        """Whether the headers in a large piece end within the limit, so that the rest of it is body."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head_bytes - len(data) + end <= MAX_HEAD_BYTES

    def _write(self, answer: HttpAnswer) -> None:
        headers = [*self.server_state.default_headers, *answer.headers]
        head = [STATUS_LINE[answer.status], *(b"%s: %s\r\n" % header for header in headers)]
        self.transport.write(b"".join([*head, b"connection: close\r\n\r\n", answer.body]))

    def _abandon(self) -> None:
        """Close the connection, and end a request that still waits for its body as disconnected."""
        self._began = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
