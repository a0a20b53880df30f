"""A store that breaks off at every write in turn, for tests of what is done again."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.mill.house import House
from tidemill.errors import StoreUnavailableError


class BreakingEverywhere:
    """Whenever a write is reached that was not reached before, the store breaks off, with or without having written.

    Enter it once for each attempt; `broken` is how often it broke off, and the last attempt is the one that did not."""

    def __init__(self, house: House, *, after: bool) -> None:
        self.broken: set[tuple[str, int]] = set()
        self._house = house
        self._after = after
        self._reached: Counter[str] = Counter()

    def __enter__(self) -> None:
        self._reached.clear()
        store = self._house.store
        for name in ("insert", "command"):
            setattr(store, name, self._counted(getattr(store, name)))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        for name in ("insert", "command"):
            delattr(self._house.store, name)
        return kind is StoreUnavailableError

    def _counted(self, write: Callable[..., None]) -> Callable[..., None]:
        def counted(name: str, *arguments: Any, **values: Any) -> None:
            self._reached[name] += 1
            key = name, self._reached[name]
            fresh = key not in self.broken
            self.broken.add(key)
            if fresh and not self._after:
                raise StoreUnavailableError("broken off")
            write(name, *arguments, **values)
            if fresh:
                raise StoreUnavailableError("broken off")

        return counted
