"""Writes plots as small SVG files: text that a diff shows, in colours that follow the reader's light or dark scheme.

A `Picture` has panels with a scale each; a `Panel` draws lines, areas, bars and ticks in the units of its data. Numbers
are rounded to a tenth of a pixel, so that the same data makes the same file.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

Numbers = Sequence[float]
Span = tuple[float, float]

_STYLE: Final = """
svg { --back: #ffffff; --ink: #1f2937; --dim: #6b7280; --rule: #e5e7eb; --a: #1d4ed8; --b: #b45309; }
@media (prefers-color-scheme: dark) {
svg { --back: #0d1117; --ink: #e5e7eb; --dim: #9ca3af; --rule: #30363d; --a: #7aa8ff; --b: #f0a63c; }
}
.back { fill: var(--back); }
text { font: 11px system-ui, sans-serif; fill: var(--dim); }
.title { font-weight: 600; font-size: 12px; fill: var(--ink); }
.rule { stroke: var(--rule); fill: none; }
.line { fill: none; stroke-width: 1.3; stroke-linejoin: round; }
.thin { stroke-width: 0.8; opacity: 0.75; }
.dash { stroke-dasharray: 4 3; }
.a { stroke: var(--a); } .b { stroke: var(--b); } .ink { stroke: var(--ink); } .dim { stroke: var(--dim); }
.area { stroke: none; opacity: 0.28; } .light { opacity: 0.14; } .bar { stroke: none; }
.area.a, .bar.a, text.a { fill: var(--a); } .area.b, .bar.b, text.b { fill: var(--b); }
.area.dim, .bar.dim { fill: var(--dim); stroke: none; }
.area.a, .area.b, .bar.a, .bar.b, text.a, text.b { stroke: none; }
.solid { opacity: 0.9; }
"""


class Panel:
    """A rectangle of a picture with a scale: `x` and `y` are the spans of the data that it shows."""

    def __init__(self, left: float, top: float, width: float, height: float, *, x: Span, y: Span) -> None:
        self.left, self.top, self.width, self.height = left, top, width, height
        self._x, self._y = x, y
        self.parts: list[str] = []

    def line(self, xs: Numbers, ys: Numbers, style: str) -> None:
        """A line through points; a NaN breaks it."""
        pieces: list[list[str]] = [[]]
        for x, y in zip(xs, ys, strict=True):
            if math.isnan(y):
                pieces.append([])
            else:
                pieces[-1].append(self._point(x, y))
        for piece in filter(None, pieces):
            self.parts.append(f'<polyline class="line {style}" points="{" ".join(piece)}"/>')

    def area(self, xs: Numbers, lows: Numbers, highs: Numbers, style: str) -> None:
        """The area between two lines."""
        there = [self._point(x, y) for x, y in zip(xs, highs, strict=True)]
        back = [self._point(x, y) for x, y in zip(xs, lows, strict=True)][::-1]
        self.parts.append(f'<polygon class="area {style}" points="{" ".join([*there, *back])}"/>')

    def bars(self, begins: Numbers, ends: Numbers, ys: Numbers, style: str, gap: float = 1.0) -> None:
        """Bars from zero, each from its begin to its end less `gap` pixels."""
        zero = self._down(0)
        for begin, end, y in zip(begins, ends, ys, strict=True):
            left, right, top = self._right(begin) + gap / 2, self._right(end) - gap / 2, self._down(y)
            box = f'x="{_px(left)}" y="{_px(top)}" width="{_px(max(right - left, 0.3))}" height="{_px(zero - top)}"'
            self.parts.append(f'<rect class="bar {style}" {box}/>')

    def across(self, y: float, style: str = "") -> None:
        """A rule at a value."""
        self._rule((self.left, self._down(y)), (self.left + self.width, self._down(y)), style)

    def upright(self, x: float, style: str = "") -> None:
        """A rule at a place of the horizontal scale."""
        self._rule((self._right(x), self.top), (self._right(x), self.top + self.height), style)

    def x_ticks(self, ticks: Iterable[tuple[float, str]]) -> None:
        """Labels below the panel."""
        for x, label in ticks:
            self.write(self._right(x), self.top + self.height + 14, label, anchor="middle")

    def y_ticks(self, count: int = 3) -> None:
        """About `count` rules at round values, with their labels."""
        step = _round_step((self._y[1] - self._y[0]) / count)
        at = math.ceil(self._y[0] / step - 1e-9)
        while at * step <= self._y[1] + 1e-9 * step:
            self.across(at * step)
            self.write(self.left - 6, self._down(at * step) + 4, f"{at * step:g}", anchor="end")
            at += 1

    def title(self, text: str, style: str = "") -> None:
        """The title above the panel."""
        self.write(self.left, self.top - 9, text, f"title {style}".strip())

    def note(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        """A text at a point of the data."""
        self.write(self._right(x), self._down(y), text, style, anchor)

    def write(self, left: float, top: float, text: str, style: str = "", anchor: str = "start") -> None:
        """A text at a pixel."""
        named = f' class="{style}"' if style else ""
        place = f'x="{_px(left)}" y="{_px(top)}" text-anchor="{anchor}"'
        self.parts.append(f"<text{named} {place}>{escape(text)}</text>")

    def _rule(self, begin: Span, end: Span, style: str) -> None:
        ends = f'x1="{_px(begin[0])}" y1="{_px(begin[1])}" x2="{_px(end[0])}" y2="{_px(end[1])}"'
        self.parts.append(f'<line class="{f"rule {style}".strip()}" {ends}/>')

    def _right(self, x: float) -> float:
        return self.left + (x - self._x[0]) / (self._x[1] - self._x[0]) * self.width

    def _down(self, y: float) -> float:
        return self.top + (self._y[1] - y) / (self._y[1] - self._y[0]) * self.height

    def _point(self, x: float, y: float) -> str:
        return f"{_px(self._right(x))},{_px(self._down(y))}"


class Picture:
    """A picture of panels; `title` says what it shows to those who cannot see it."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._panels: list[Panel] = []

    def panel(self, left: float, top: float, width: float, height: float, *, x: Span, y: Span) -> Panel:
        """A new panel at these pixels, for data in these spans."""
        panel = Panel(left, top, width, height, x=x, y=y)
        self._panels.append(panel)
        return panel

    def text(self) -> str:
        """The SVG."""
        width, height = _px(self._width), _px(self._height)
        size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(self._title)}">'
        back = '<rect class="back" width="100%" height="100%" rx="6"/>'
        parts = [part for panel in self._panels for part in panel.parts]
        return "\n".join([head, f"<style>{_STYLE}</style>", back, *parts, "</svg>"]) + "\n"


def _round_step(step: float) -> float:
    """The nearest of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return min((power, 2 * power, 5 * power, 10 * power), key=lambda each: abs(math.log(each / step)))


def _px(number: float) -> str:
    """A number of pixels, to a tenth."""
    text = f"{number:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
