"""uvicorn's HTTP/1.1 protocol with the limits that it lacks: the size of the headers, and how long a request may take
to arrive, from its first byte to its last (`408`, then the connection is closed), or not to read its answer.

One look at all connections a second costs less than a timer for each request. Malformed HTTP gets a problem document.
"""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidemill.api import problems

MAX_HEAD_BYTES: Final = 64 << 10


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
        self._refusal = ("invalid", "This is not a well-formed HTTP/1.1 request.")

    def data_received(self, data: bytes) -> None:
        """Count what belongs to the headers, then parse."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self._head_ends_early(data):
                self._refusal = ("headers_too_large", f"The headers are larger than {MAX_HEAD_BYTES} bytes.")
                self.send_400_response("")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._began = self.loop.time()
        self._silent = False

    def on_headers_complete(self) -> None:
        """The body comes next."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here; the next one may follow."""
        self._began = None
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed with a problem document, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self._write(problems.document(*self._refusal))
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
        cycle = self.cycle
        if not self._silent and (cycle is None or cycle.response_complete or not cycle.response_started):
            detail = f"The request did not arrive within body_timeout ({self.arrival_s:g} s)."
            self._write(problems.document("too_slow", detail))
        self._abandon()

    def _head_ends_early(self, data: bytes) -> bool:
        """Whether a large piece is mostly body: its headers end within the limit."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head_bytes - len(data) + end <= MAX_HEAD_BYTES

    def _write(self, answer: problems.Answer) -> None:
        head = [STATUS_LINE[answer.status], *(b"%s: %s\r\n" % header for header in answer.headers)]
        self.transport.write(b"".join([*head, b"connection: close\r\n\r\n", answer.body]))

    def _abandon(self) -> None:
        """Close, and tell a request that still waits for its body that nobody is there."""
        self._began = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
