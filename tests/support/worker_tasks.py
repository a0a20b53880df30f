"""Functions that tests call in worker processes."""

import os
import time

import numpy as np

from tidemill.errors import NotEnoughPointsError


def process_id() -> int:
    return os.getpid()


def double(values: np.ndarray) -> np.ndarray:
    return values * 2


def wait(seconds: float) -> int:
    """Sleep, then return the id of the process."""
    time.sleep(seconds)
    return os.getpid()


def use_memory(size_bytes: int) -> int:
    return len(bytearray(size_bytes))


def lack_points() -> None:
    raise NotEnoughPointsError(3, 12, "a forecast needs at least 12 values; there are 3")


def fail() -> None:
    raise ZeroDivisionError("by nothing")


def end_process() -> None:
    os._exit(3)
