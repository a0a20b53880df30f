"""uvicorn's HTTP/1.1 protocol with the limits that it lacks: the size of what a request has besides its body, and how
long a request may take to arrive, from its first byte to its last (`408`, then the connection is closed), or not to
read its answer.

One look at all connections a second costs less than a timer for each request. Malformed HTTP gets a problem document,
in its turn among the answers of its connection. Trailers are counted and ignored: they never become headers.
"""

from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidemill.api import problems
from tidemill.api.problems import HttpAnswer

MAX_HEAD_BYTES: Final = 64 << 10  # request line and headers; and again, chunk extensions and trailers
PLAIN_CHUNK_BYTES: Final = 12  # what frames a chunk without extensions: a size of up to 8 digits and two line ends
_MALFORMED: Final = "This is not a well-formed HTTP/1.1 request."


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `arrival_s`: seconds a request may take to arrive, and a new connection may be silent."""

    arrival_s = 30.0

    def connection_made(self, transport: Any) -> None:
        """Start the clock: a connection that never sends anything ends too."""
        super().connection_made(transport)
        self._began: float | None = self.loop.time()
        self._silent = True
        self._unread = (0, 0.0)
        self._in_head = True
        self._head_bytes = 0
        self._beside_bytes = 0  # of the body under way: chunk extensions and trailers so far
        self._refusal: HttpAnswer | None = None

    def data_received(self, data: bytes) -> None:
        """Parse, and count what is no body. Nothing is parsed any more once a request was refused."""
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
            pass  # answered as HTTP/1.1, then the connection closes: what follows would be in another protocol
        except httptools.HttpParserError:
            self._refuse("invalid", _MALFORMED)
        self._beside_bytes = 0 if in_head or self._in_head else max(0, self._beside_bytes)
        if self._beside_bytes > MAX_HEAD_BYTES:
            detail = f"The chunk extensions and trailers are larger than {MAX_HEAD_BYTES} bytes."
            self._refuse("headers_too_large", detail)

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._began = self.loop.time()
        self._silent = False

    def on_headers_complete(self) -> None:
        """The body comes next."""
        self._in_head = False
        if not self.url.startswith(b"/"):
            self._take_authority()
        super().on_headers_complete()
        self.headers = []  # trailers go here, away from the headers of the request
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """The next chunk of the body begins; its plain framing is free."""
        self._beside_bytes -= PLAIN_CHUNK_BYTES

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._beside_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here; the next one may follow."""
        self._began = None
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer was sent. A refusal that waited for it comes next."""
        was_last = not self.pipeline
        super().on_response_complete()
        if was_last and self._refusal is not None and not self.transport.is_closing():
            self._write(self._refusal)
            self._abandon()

    def look(self, now: float) -> None:
        """End the connection if it takes too long to send a request, or leaves its answer unread as long. `now` is the
        loop's time."""
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

    def _take_authority(self) -> None:
        """Of a request line with a whole URL the authority counts, whatever `Host` says (RFC 9112, 3.2.2). No `Host`,
        or two, stay as they are and are refused."""
        host = httptools.parse_url(self.url).host
        if host is not None and sum(name == b"host" for name, _ in self.headers) == 1:
            authority = self.url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
            self.headers[:] = [(name, authority if name == b"host" else value) for name, value in self.headers]

    def _refuse(self, code: str, detail: str) -> None:
        """Answer the request that is arriving with a problem document, after all that came before it, and close."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._began = None
        self._refusal = problems.document(code, detail)
        cycle = self.cycle
        if cycle is not None and not self._in_head and self.pipeline:
            self.pipeline.popleft()  # the refused request itself, which waits for its turn
        elif cycle is None or cycle.response_complete or not self._in_head:
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self._write(self._refusal)
            self._abandon()

    def _head_ends_early(self, data: bytes) -> bool:
        """Whether a large piece is mostly body: its headers end within the limit."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head_bytes - len(data) + end <= MAX_HEAD_BYTES

    def _write(self, answer: HttpAnswer) -> None:
        headers = [*self.server_state.default_headers, *answer.headers]
        head = [STATUS_LINE[answer.status], *(b"%s: %s\r\n" % header for header in headers)]
        self.transport.write(b"".join([*head, b"connection: close\r\n\r\n", answer.body]))

    def _abandon(self) -> None:
        """Close, and tell a request that still waits for its body that nobody is there."""
        self._began = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
