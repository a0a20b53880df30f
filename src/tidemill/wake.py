"""Wakes a process that may not be there: a pipe that the supervisor holds open.

Who has something to be done writes a byte. The process that does such things takes all bytes before it looks what is to
be done; while there is no such process, its supervisor sees that there are bytes, and starts one. So no wake is lost.
"""

import os
import select
from contextlib import suppress
from typing import Final

_TAKEN_AT_ONCE: Final = 4_096


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
        """There is something to be done. A full pipe says so already."""
        with suppress(BlockingIOError):
            os.write(self.write_fd, b".")

    def is_woken(self, timeout_s: float = 0.0) -> bool:
        """Whether somebody woke since the last `drain`, now or within `timeout_s` seconds."""
        return bool(select.select([self.read_fd], [], [], timeout_s)[0])

    def drain(self) -> None:
        """Take what was written so far; look for what is to be done after that. Never blocks."""
        with suppress(BlockingIOError):
            while len(os.read(self.read_fd, _TAKEN_AT_ONCE)) == _TAKEN_AT_ONCE:
                pass

    def close(self) -> None:
        """Close both ends."""
        for fd in self.fds:
            os.close(fd)
