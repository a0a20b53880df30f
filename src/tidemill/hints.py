"""Hints between `api` and `mill`: one end each of a datagram socket pair that the supervisor holds open.

`api` says how far the log grew, `mill` how far it applied. A hint is eight bytes: a place in the log. Hints only save
waiting: they may be lost or late (a full buffer drops them), and both sides also look for themselves.
"""

import select
import socket
import struct
import threading

_PLACE = struct.Struct("<Q")


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
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return cls(one), cls(other)

    def fileno(self) -> int:
        """The file descriptor, for event loops."""
        return self._socket.fileno()

    def send(self, seq: int) -> None:
        """Tell the other end a place in the log; dropped when its buffer is full or it is gone."""
        try:
            self._socket.send(_PLACE.pack(seq))
        except OSError:
            return

    def receive(self) -> int | None:
        """The highest place told since the last call, or None. Never blocks."""
        highest: int | None = None
        while True:
            try:
                message = self._socket.recv(_PLACE.size)
            except OSError:
                return highest
            if len(message) == _PLACE.size:
                highest = max(highest or 0, _PLACE.unpack(message)[0])

    def wait(self, timeout_s: float | None) -> int | None:
        """Like `receive`, after waiting up to `timeout_s` seconds (null: as long as it takes) for the first."""
        select.select([self._socket], [], [], timeout_s)
        return self.receive()

    def shared(self, count: int) -> "list[Hints]":
        """An end for each of `count` parts of this process: what one sends goes to the other end, and what comes from
        there wakes them all, by a thread that ends with the process."""
        pairs = [Hints.pair() for _ in range(count)]
        threading.Thread(target=self._pass_on, args=([inner for inner, _ in pairs],), name="hints", daemon=True).start()
        return [_Shared(outer._socket, self) for _, outer in pairs]

    def _pass_on(self, ends: "list[Hints]") -> None:
        while True:
            self.wait(None)
            for end in ends:
                end.send(0)  # no place: it may be of another part's partition

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


class _Shared(Hints):
    """An end that sends by another."""

    def __init__(self, end: socket.socket, sender: Hints) -> None:
        super().__init__(end)
        self._sender = sender

    def send(self, seq: int) -> None:
        """Tell the other end a place in the log."""
        self._sender.send(seq)
