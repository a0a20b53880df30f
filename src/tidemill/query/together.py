"""Independent questions to the store, asked side by side: the story of an instant needs several of a few ms each.

The threads are few and shared by all requests of a process; what runs in them never asks for another one.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

THREADS: Final = 4  # the engine works on a few queries at a time; more would only queue there


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="together")


def together(*questions: Callable[[], Any]) -> list[Any]:
    """The answers in the order of the questions. Raises what the first question that failed raised."""
    waiting = [_threads().submit(question) for question in questions]
    return [future.result() for future in waiting]
