"""Wakes a process that may not run: a pipe that the supervisor holds open.

A process that has work for another writes a byte. The woken process reads all bytes before it looks for work; while it
does not run, the supervisor sees that there are bytes, and starts it. So no wake is lost.
"""

import os
import select
from contextlib import suppress
from typing import Final

_READ_BYTES: Final = 4_096


class WakePipe:
    """Both ends of the pipe. Thread-safe: each call is one system call or two."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self.write_fd = read_fd, write_fd
        for fd in self.fds:
            os.set_blocking(fd, False)

    @classmethod
    def new(cls) -> "WakePipe":
        """A pipe for this process, or to be passed on."""
        return cls(*os.pipe())

    @property
    def fds(self) -> tuple[int, int]:
        """The file descriptors, as the constructor takes them."""
        return self.read_fd, self.write_fd

    def wake(self) -> None:
        """Write a byte, unless the pipe is full, which wakes as well. Never blocks."""
        with suppress(BlockingIOError):
            os.write(self.write_fd, b".")

    def is_woken(self, timeout_s: float = 0.0) -> bool:
        """Whether a byte was written since the last `drain`, or is within `timeout_s` seconds."""
        return bool(select.select([self.read_fd], [], [], timeout_s)[0])

    def drain(self) -> None:
        """Read all bytes written so far; look for work after that. Never blocks."""
        with suppress(BlockingIOError):
            while len(os.read(self.read_fd, _READ_BYTES)) == _READ_BYTES:
                pass

    def close(self) -> None:
        """Close both ends."""
        for fd in self.fds:
            os.close(fd)
