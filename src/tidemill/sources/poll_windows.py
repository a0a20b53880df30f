"""Computes the window of time that a source reads next. Pure: cursor and clock are arguments.

A window is read as a whole or not at all, and the cursor is the begin of the next window. The last `overlap` before the
cursor is read again each time, so that values which a source corrects or delivers late are read, too. A cursor ahead of
the clock was written while the clock was wrong: the last `size` before now is read again.
"""

from typing import Final

import msgspec

from tidemill.feeds.placeholders import fill_url
from tidemill.model.time import NS_PER_S
from tidemill.sources.bounds import Bounds

_LONG_DAY_NS: Final = 26 * 3600 * NS_PER_S


class PollWindow(msgspec.Struct, frozen=True):
    """A window [start, stop) in ns to request; `last`: there is no newer window yet."""

    start_ns: int
    stop_ns: int
    last: bool


class PollWindows(msgspec.Struct, frozen=True, kw_only=True):
    """The windows from `start_ns` to now minus `lag_ns`, of `size_ns` each; `bounds` says how bounds are written."""

    start_ns: int
    size_ns: int
    lag_ns: int = 0
    overlap_ns: int = 0
    bounds: Bounds = Bounds()

    def next_window(self, cursor_ns: int | None, now_ns: int) -> PollWindow | None:
        """The window after the cursor (None: the first one); None if there is nothing to request yet."""
        begin = self.start_ns if cursor_ns is None else max(cursor_ns, self.start_ns)
        horizon = now_ns - self.lag_ns
        if begin > horizon:
            begin = max(horizon - self.size_ns, self.start_ns)
        start = max(self.start_ns, begin - self.overlap_ns)
        stop = min(begin + self.size_ns, horizon)
        if stop <= start:
            return None
        return PollWindow(start, stop, stop == horizon)

    def halves(self, window: PollWindow) -> tuple[PollWindow, PollWindow] | None:
        """The halves of a window, each at least a second (for dates: a day); None if the window is too short."""
        middle = self.bounds.aligned((window.start_ns + window.stop_ns) // 2)
        if middle <= window.start_ns:  # a day may have 25 hours
            middle = self.bounds.aligned(window.start_ns + (_LONG_DAY_NS if self.bounds.days else NS_PER_S))
        if middle >= window.stop_ns:
            return None
        return PollWindow(window.start_ns, middle, False), PollWindow(middle, window.stop_ns, window.last)

    def fill_url(self, url: str, window: PollWindow) -> str:
        """The URL with `{start}` and `{stop}` (also percent-encoded) filled in."""
        return fill_url(url, self.placeholder_values(window))

    def placeholder_values(self, window: PollWindow) -> dict[str, str]:
        """The texts of `{start}` and `{stop}`."""
        return {"start": self.bounds.text(window.start_ns), "stop": self.bounds.text(window.stop_ns, stop=True)}
