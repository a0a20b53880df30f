"""Fingers and dragged files, as the browser has them from its devices: through the devtools, not by scripted events."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from tests.page.visits import Visit


class Fingers:
    """One or more fingers on a page of a device with a touch screen."""

    def __init__(self, visit: Visit, page: Page) -> None:
        self._devtools = visit.context.new_cdp_session(page)

    def move(self, start: list[tuple[float, float]], end: list[tuple[float, float]], steps: int = 5) -> None:
        """Put each finger at its start, in pixels of the window, move all to their ends at once, and lift them."""
        self._touch("touchStart", start)
        for step in range(1, steps + 1):
            share = step / steps
            self._touch(
                "touchMove",
                [(x + share * (u - x), y + share * (v - y)) for (x, y), (u, v) in zip(start, end, strict=True)],
            )
        self._touch("touchEnd", [])

    def _touch(self, kind: str, at: list[tuple[float, float]]) -> None:
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(at)]
        self._devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def drop_file(visit: Visit, page: Page, target: Locator, file: Path) -> None:
    """Drag a file of the disk over an element, and let it go there."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box
    devtools = visit.context.new_cdp_session(page)
    data: dict[str, Any] = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + min(40, box["height"] / 2)}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "data": data} | at)


def tab_to(page: Page, target: Locator, most: int = 80) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(most):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{most} tabs do not lead to {target}")
