"""Values that were made of what the store has, each kept for as long as the generation holds that was taken before the
store was asked: until a write begins that may change the value.

A value is never stale, whatever process writes; `store/generations.py` says why. With a store without generations
nothing is kept.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, Generic, TypeVar

import msgspec

from tidemill.store.generations import POINTS, SERIES, Generation, Generations

T = TypeVar("T")
_BYTES_A_PLACE: Final = 80  # of a generation, beside the value
_BYTES_A_KEY: Final = 500  # of a small key and the entry
_MOST_KEY_BYTES: Final = 1 << 10  # of a longer key (it may list every hidden series) only a digest is kept
_DIGEST_BYTES: Final = 32


class _Entry(msgspec.Struct, Generic[T], frozen=True):
    generation: Generation
    value: T
    size_bytes: int


class Kept(Generic[T]):
    """The values used last, of at most `most_bytes` in all with their keys; a value above `most_value_bytes` is not
    kept. A key is bytes of any length, or a small tuple. Thread-safe. Whoever gets a value must not change it."""

    def __init__(self, generations: Generations, most_bytes: int, most_value_bytes: int) -> None:
        self._generations, self._most, self._most_value = generations, most_bytes, most_value_bytes
        self._entries: OrderedDict[object, _Entry[T]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> T | None:
        """The value kept under a key, if it is still right."""
        key = _short(key)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._generations.hold(entry.generation):
                self._entries.move_to_end(key)
                return entry.value
            self._remove(key)
        return None

    def put(self, key: object, generation: Generation | None, value: T, size_bytes: int) -> None:
        """Keep a value that follows from what was read after `generation` was taken; null: a write was under way."""
        if generation is None or size_bytes > self._most_value:
            return
        key = _short(key)
        size = size_bytes + _BYTES_A_KEY + (len(key) if isinstance(key, bytes) else 0)
        size += _BYTES_A_PLACE * len(generation.places)
        with self._lock:
            if key in self._entries:
                self._remove(key)
            self._entries[key] = _Entry(generation, value, size)
            self._bytes += size
            while self._bytes > self._most:
                self._remove(next(iter(self._entries)))

    def _remove(self, key: object) -> None:
        self._bytes -= self._entries.pop(key).size_bytes


def _short(key: object) -> object:
    """A key to keep in place of one that may be long."""
    if isinstance(key, bytes) and len(key) > _MOST_KEY_BYTES:
        return "long", blake2b(key, digest_size=_DIGEST_BYTES).digest()  # no other key is such a tuple
    return key


def generation_of(generations: Generations, series: Iterable[int]) -> Generation | None:
    """The generation of everything that the store has of series: their points, rollup windows and descriptions."""
    numbers = list(series)
    of_points = generations.of_series(POINTS, numbers)
    return None if of_points is None else of_points.joined(generations.of_series(SERIES, numbers))
