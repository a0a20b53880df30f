"""What a call of the client does, without I/O: a generator yields its requests and pauses, and receives the answers.

The sync and the async client run the same generators, so that a request is made and an answer is read in one place.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import msgspec

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


class HttpRequest(msgspec.Struct, frozen=True):
    """A request to make: `path` below the server's URL, query parameters in order, a body or none."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    timeout_s: float | None = None  # null: the client's own


class HttpReply(msgspec.Struct, frozen=True):
    """The whole answer to a request; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReply(msgspec.Struct, frozen=True):
    """No answer came, or only a part of one: `why` in words. The server may have done what the request says."""

    why: str


class Pause(msgspec.Struct, frozen=True):
    """Wait for so many seconds."""

    seconds: float


class Emit(msgspec.Struct, Generic[T], frozen=True):
    """A part of the result that the caller can have already."""

    value: T


# A call that returns T; and one whose result is a series of T, each emitted as soon as it is there.
Call = Generator[HttpRequest | Pause, HttpReply | NoReply | None, T]
Pages = Generator[HttpRequest | Pause | Emit[T], HttpReply | NoReply | None, None]


def mapped(pages: Pages[T], read_page: Callable[[T], U]) -> Pages[U]:
    """The same pages, each as `read_page` returns it."""
    reply: HttpReply | NoReply | None = None
    while True:
        try:
            step = pages.send(reply)
        except StopIteration:
            return
        if isinstance(step, Emit):
            yield Emit(read_page(step.value))
            reply = None
        else:
            reply = yield step


def collected(pages: Pages[T]) -> Call[list[T]]:
    """A call that returns all pages at once."""
    reply: HttpReply | NoReply | None = None
    items: list[T] = []
    while True:
        try:
            step = pages.send(reply)
        except StopIteration:
            return items
        if isinstance(step, Emit):
            items.append(step.value)
            reply = None
        else:
            reply = yield step


class BlockingClient(Protocol):
    """Runs calls and returns when they are over."""

    def run_call(self, call: Call[T]) -> T:
        """The result of a call."""

    def run_pages(self, pages: Pages[T]) -> Iterator[T]:
        """The parts of a result, as they come."""


class AwaitedClient(Protocol):
    """Runs calls in an event loop."""

    def run_call(self, call: Call[T]) -> Coroutine[Any, Any, T]:
        """The result of a call."""

    def run_pages(self, pages: Pages[T]) -> AsyncIterator[T]:
        """The parts of a result, as they come."""


class Operation(Generic[P, T]):
    """Decorates a method that makes a call: of a blocking client it returns the result, of an async one a coroutine."""

    def __init__(self, make_call: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self._make_call = make_call
        self.__doc__ = make_call.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: BlockingClient, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AwaitedClient, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @wraps(self._make_call)
        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run_call(self._make_call(client, *args, **kwargs))

        return bound


class PagedOperation(Generic[P, T]):
    """Decorates a method that makes pages: of a blocking client it returns an iterator, of an async one an async
    iterator."""

    def __init__(self, make_pages: Callable[Concatenate[Any, P], Pages[T]]) -> None:
        self._make_pages = make_pages
        self.__doc__ = make_pages.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: BlockingClient, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AwaitedClient, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @wraps(self._make_pages)
        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run_pages(self._make_pages(client, *args, **kwargs))

        return bound
