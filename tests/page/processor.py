"""What a page costs, by the browser's own counters: ticks of the main thread and bytes of the heap; no wall clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

from tests.page.visits import Visit

FRAMES: str = """() => {
  window.frames_changed = 0;
  let last = -1;
  new MutationObserver(() => {
    const frame = document.timeline.currentTime;
    if (frame !== last) window.frames_changed += 1;
    last = frame;
  }).observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true, attributes: true });
}"""
"""Counts the frames in which the page changes itself: each is painted once, however much changes."""


class Processor:
    """The main thread of a page. Ticks of the thread: what else the machine does is not counted."""

    def __init__(self, visit: Visit, page: Page) -> None:
        self._page = page
        self._devtools = visit.context.new_cdp_session(page)
        self._devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def _metrics(self) -> dict[str, float]:
        metrics = self._devtools.send("Performance.getMetrics")["metrics"]
        return {item["name"]: float(item["value"]) for item in metrics}

    def busy_ms(self) -> float:
        """Milliseconds that the thread has worked so far."""
        return self._metrics()["TaskDuration"] * 1000

    def heap_bytes(self) -> float:
        """Bytes of the heap that are still used after what is not is collected."""
        for _ in range(2):
            self._devtools.send("HeapProfiler.collectGarbage")
        return self._metrics()["JSHeapUsedSize"]


@contextmanager
def spent(processor: Processor) -> Iterator[Callable[[], float]]:
    """Gives a function that says how many ms the thread worked since the block began."""
    before = processor.busy_ms()
    yield lambda: processor.busy_ms() - before
