"""A store that breaks off at a write, or at every write in turn, for tests of what is done again."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tests.mill.house import House
from tidemill.errors import StoreUnavailableError


class _Watched(AbstractContextManager[None]):
    """Every write of the mill of a house goes through `reached`, which says whether to break off at it."""

    def __init__(self, house: House, *, after: bool) -> None:
        self._house = house
        self._after = after

    def reached(self, name: str) -> bool:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._store = self._house.mill._store
        for name in ("insert", "command"):
            setattr(self._store, name, self._counted(getattr(self._store, name)))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        for name in ("insert", "command"):
            delattr(self._store, name)
        return kind is StoreUnavailableError

    def _counted(self, write: Callable[..., None]) -> Callable[..., None]:
        def counted(name: str, *arguments: Any, **values: Any) -> None:
            breaks = self.reached(name)
            if breaks and not self._after:
                raise StoreUnavailableError("broken off")
            write(name, *arguments, **values)
            if breaks:
                raise StoreUnavailableError("broken off")

        return counted


class Breaking(_Watched):
    """The store breaks off at its n-th write, once, with or without having written."""

    def __init__(self, house: House, at: int, *, after: bool) -> None:
        super().__init__(house, after=after)
        self._left = at

    def reached(self, name: str) -> bool:
        self._left -= 1
        return self._left == 0


class BreakingEverywhere(_Watched):
    """Whenever a write is reached that was not reached before, the store breaks off, with or without having written.

    Enter it once for each attempt; `broken` is how often it broke off, and the last attempt is the one that did not."""

    def __init__(self, house: House, *, after: bool) -> None:
        super().__init__(house, after=after)
        self.broken: set[tuple[str, int]] = set()
        self._reached: Counter[str] = Counter()

    def __enter__(self) -> None:
        self._reached.clear()
        super().__enter__()

    def reached(self, name: str) -> bool:
        self._reached[name] += 1
        key = name, self._reached[name]
        fresh = key not in self.broken
        self.broken.add(key)
        return fresh


class BreakingAlways(_Watched):
    """The store breaks off whenever one query is run, or one table is inserted into."""

    def __init__(self, house: House, name: str) -> None:
        super().__init__(house, after=False)
        self._name = name

    def reached(self, name: str) -> bool:
        return name == self._name
