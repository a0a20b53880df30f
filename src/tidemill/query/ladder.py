"""The ladder of window lengths from which the server picks one, so that an answer has at most so many windows."""

from typing import Final

from tidemill.query.readers import WindowLength

_STEPS: Final = {
    "us": (1, 2, 5, 10, 20, 50, 100, 200, 500),
    "ms": (1, 2, 5, 10, 20, 50, 100, 200, 500),
    "s": (1, 2, 5, 10, 15, 30),
    "m": (1, 2, 5, 10, 15, 30),
    "h": (1, 2, 3, 6, 12),
    "d": (1,),
    "w": (1,),
    "mo": (1, 3),
    "y": (1, 10, 100),
}
LADDER: Final = tuple(WindowLength(count, unit) for unit, counts in _STEPS.items() for count in counts)
LADDER_TEXT: Final = ", ".join(length.text for length in LADDER)
FEWEST: Final = 10  # windows that can be asked for: the whole range of time has fewer of the longest length
MOST: Final = 10_000


def window_length_for(points: int, first_ns: int, end_ns: int) -> WindowLength:
    """The shortest length of the ladder with which [first, end) touches at most `points` windows, if every window had
    its usual length. A clock that changes can add windows: `longer` is then the next try."""
    length_ns = max(end_ns - first_ns, 1)
    return next((item for item in LADDER if (length_ns - 1) // item.nominal_ns + 2 <= points), LADDER[-1])


def longer(length: WindowLength) -> WindowLength:
    """The next length of the ladder."""
    return LADDER[min(LADDER.index(length) + 1, len(LADDER) - 1)]
