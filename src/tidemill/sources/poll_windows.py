"""Which stretch of time a window source reads next. Pure: cursor and clock in, window out.

A cursor that is ahead of the clock was set while the clock was wrong: the last `size` before now is read again.

A window is read as a whole or not at all, and the cursor is where the next one goes on. The last `overlap` before the
cursor is read again each time, so that values which a source corrects or delivers late are still found.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from tidemill.model.time import NS_PER_S, format_instant
from tidemill.sources.templates import fill

_DAY_NS = 86_400 * NS_PER_S


class PollWindow(msgspec.Struct, frozen=True):
    """[start, stop) in ns, as it is to be asked for; `last` when nothing newer can be asked for yet."""

    start_ns: int
    stop_ns: int
    last: bool


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """Reads from `start_ns` to now minus `lag_ns`, `size_ns` at a time. `dates`: bounds are written as UTC dates,
    the start rounded down, the stop up, so that no instant of the window is left out."""

    start_ns: int
    size_ns: int
    lag_ns: int = 0
    overlap_ns: int = 0
    dates: bool = False

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
        unit = _DAY_NS if self.dates else NS_PER_S
        middle = (window.start_ns + window.stop_ns) // 2 // unit * unit
        if middle <= window.start_ns:
            middle += unit
        if middle >= window.stop_ns:
            return None
        return PollWindow(window.start_ns, middle, False), PollWindow(middle, window.stop_ns, window.last)

    def fill(self, url: str, window: PollWindow) -> str:
        """The URL with `{start}` and `{stop}` (also percent-encoded) filled in."""
        return fill(url, {"start": self._text(window.start_ns), "stop": self._text(window.stop_ns, up=True)})

    def _text(self, ns: int, *, up: bool = False) -> str:
        if not self.dates:
            return format_instant(ns)
        day = datetime.fromtimestamp(ns // NS_PER_S, UTC)
        inside = ns % _DAY_NS != 0
        return (day + timedelta(days=1) if up and inside else day).strftime("%Y-%m-%d")
