"""Hints between `api` and `mill`: one end each of a datagram socket pair that the supervisor holds open.

`api` sends the offset up to which the log grew, `mill` the offset up to which it applied. A hint is eight bytes: an
offset. Hints only shorten waiting: they may be lost or late (a full buffer drops them), and both sides also poll.
"""

import select
import socket
import struct
import threading

_OFFSET = struct.Struct("<Q")


class Hints:
    """One end of the pair. Thread-safe: each call is one system call or two."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end

    @classmethod
    def from_fd(cls, fd: int) -> "Hints":
        """The end that the supervisor passed on as an open file descriptor."""
        return cls(socket.socket(fileno=fd))

    @classmethod
    def pair(cls) -> tuple["Hints", "Hints"]:
        """Two connected ends, for one process or to be passed on."""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return cls(left), cls(right)

    def fileno(self) -> int:
        """The file descriptor, for event loops."""
        return self._socket.fileno()

    def send(self, seq: int) -> None:
        """Send an offset to the other end; dropped when its buffer is full or it is closed."""
        try:
            self._socket.send(_OFFSET.pack(seq))
        except OSError:
            return

    def receive(self) -> int | None:
        """The highest offset received since the last call, or None. Never blocks."""
        highest: int | None = None
        while True:
            try:
                message = self._socket.recv(_OFFSET.size)
            except OSError:
                return highest
            if len(message) == _OFFSET.size:
                highest = max(highest or 0, _OFFSET.unpack(message)[0])

    def wait(self, timeout_s: float | None) -> int | None:
        """Like `receive`, after waiting up to `timeout_s` seconds (null: without limit) for the first hint."""
        select.select([self._socket], [], [], timeout_s)
        return self.receive()

    def shared(self, count: int) -> "list[Hints]":
        """An end for each of `count` parts of this process: each sends to the other end, and a hint from there wakes
        all of them, by a thread that ends with the process."""
        pairs = [Hints.pair() for _ in range(count)]
        threading.Thread(target=self._pass_on, args=([inner for inner, _ in pairs],), name="hints", daemon=True).start()
        return [_Shared(outer._socket, self) for _, outer in pairs]

    def _pass_on(self, ends: "list[Hints]") -> None:
        while True:
            self.wait(None)
            for end in ends:
                end.send(0)  # without the offset, which may be of another part's partition

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


class _Shared(Hints):
    """An end that sends through another end."""

    def __init__(self, end: socket.socket, sender: Hints) -> None:
        super().__init__(end)
        self._sender = sender

    def send(self, seq: int) -> None:
        """See `Hints.send`."""
        self._sender.send(seq)
