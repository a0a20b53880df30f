"""Which stretch of time a window source reads next. Pure: cursor and clock in, window out.

A cursor that is ahead of the clock was set while the clock was wrong: the last `size` before now is read again.

A window is read as a whole or not at all, and the cursor is where the next one goes on. The last `overlap` before the
cursor is read again each time, so that values which a source corrects or delivers late are still found.
"""

from typing import Final

import msgspec

from tidemill.model.time import NS_PER_S
from tidemill.sources.bounds import Bounds
from tidemill.sources.templates import fill

_LONG_DAY_NS: Final = 26 * 3600 * NS_PER_S


class PollWindow(msgspec.Struct, frozen=True):
    """[start, stop) in ns, as it is to be asked for; `last` when nothing newer can be asked for yet."""

    start_ns: int
    stop_ns: int
    last: bool


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """Reads from `start_ns` to now minus `lag_ns`, `size_ns` at a time; `bounds` says how bounds are written."""

    start_ns: int
    size_ns: int
    lag_ns: int = 0
    overlap_ns: int = 0
    bounds: Bounds = Bounds()

    def next(self, cursor_ns: int | None, now_ns: int) -> PollWindow | None:
        """The window after the cursor (None: from the beginning); None when there is nothing to ask for yet."""
        position = self.start_ns if cursor_ns is None else max(cursor_ns, self.start_ns)
        horizon = now_ns - self.lag_ns
        if position > horizon:
            position = max(horizon - self.size_ns, self.start_ns)
        start = max(self.start_ns, position - self.overlap_ns)
        stop = min(position + self.size_ns, horizon)
        if stop <= start:
            return None
        return PollWindow(start, stop, stop == horizon)

    def halves(self, window: PollWindow) -> tuple[PollWindow, PollWindow] | None:
        """A window in two, each at least a second (a date: a day); None when it is too short for that."""
        middle = self.bounds.aligned((window.start_ns + window.stop_ns) // 2)
        if middle <= window.start_ns:  # a day may have 25 hours
            middle = self.bounds.aligned(window.start_ns + (_LONG_DAY_NS if self.bounds.days else NS_PER_S))
        if middle >= window.stop_ns:
            return None
        return PollWindow(window.start_ns, middle, False), PollWindow(middle, window.stop_ns, window.last)

    def fill(self, url: str, window: PollWindow) -> str:
        """The URL with `{start}` and `{stop}` (also percent-encoded) filled in."""
        return fill(url, self.values(window))

    def values(self, window: PollWindow) -> dict[str, str]:
        """What `{start}` and `{stop}` stand for."""
        return {"start": self.bounds.text(window.start_ns), "stop": self.bounds.text(window.stop_ns, stop=True)}
