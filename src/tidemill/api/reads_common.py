"""What the read routes share: parsing by the table of parameters, threads for the store, pages as responses.

The store is asked in a few threads of their own, so that slow questions wait for each other and never for intake.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec import Parameter as ParameterSpec
from litestar.response import Stream

from tidemill.errors import Fault, InputError
from tidemill.query.answers import MEDIA_TYPES, Page
from tidemill.query.parameters import Asked, Parameter, read

THREADS: Final = 6  # the engine works on a few queries at a time; more would only queue there
_MAX_PARAMETERS: Final = 100
_limiter: RunVar[CapacityLimiter] = RunVar("reads")
_T = TypeVar("_T")
AnyRequest = Request[Any, Any, Any]


async def ask(work: Callable[[], _T]) -> _T:
    """Run a question to the store in a thread of the reads'."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(THREADS)
        _limiter.set(limiter)
    return await to_thread.run_sync(work, limiter=limiter)


def parameters(request: AnyRequest, known: Sequence[Parameter]) -> Asked:
    """The query of a request. Raises InputError naming every fault."""
    raw = request.scope["query_string"].decode("latin-1")
    try:
        given = parse_qsl(raw, keep_blank_values=True, errors="replace", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        message = f"a query has at most {_MAX_PARAMETERS} parameters"
        raise InputError(message, (Fault("$query", "too_many", message),)) from None
    return read(given, known)


def respond(request: AnyRequest, page: Page) -> Response[Any]:
    """A page as a response: streamed where the store still writes; `Link: <...>; rel="next"` where more follows."""
    headers = {} if page.next is None else {"Link": f'<{following(request, page.next)}>; rel="next"'}
    if isinstance(page.body, bytes):
        return Response(page.body, media_type=page.media_type, headers=headers)
    return Stream(_pieces(page.body), media_type=page.media_type, headers=headers)


def following(request: AnyRequest, cursor: str) -> str:
    """The same request from a cursor on, as a reference relative to the server."""
    raw = request.scope["query_string"].decode("latin-1")
    kept = [(name, text) for name, text in parse_qsl(raw, keep_blank_values=True) if name != "cursor"]
    return f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"


async def _pieces(body: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a body, each asked for in a thread; gives the query up when the client has gone."""
    try:
        while (piece := await ask(lambda: next(body, None))) is not None:
            if piece:
                yield piece
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def taking(known: Sequence[Parameter] = (), *, also: Sequence[str] = ()) -> type[Operation]:
    """The OpenAPI operation of a route with these query parameters, from the table that also parses them. Its answer
    200 is of the stated media type, of those that a parameter `format` offers, or of those in `also`."""
    formats = [name for parameter in known if parameter.name == "format" for name in parameter.schema["enum"]]
    kinds = [*also, *(MEDIA_TYPES[name] for name in formats)]

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            self.parameters = [*(self.parameters or []), *(_spec(parameter) for parameter in known)]
            answer = (self.responses or {}).get("200")
            if isinstance(answer, OpenAPIResponse) and answer.content is not None:
                for kind in kinds:
                    answer.content.setdefault(kind, OpenAPIMediaType(schema=Schema()))

    return Documented


def _spec(parameter: Parameter) -> ParameterSpec:
    name = f"{parameter.name}*" if parameter.name.endswith(".") else parameter.name
    schema = dict(parameter.schema)
    kind = schema.pop("type", "string")
    if isinstance(parameter.default, str | int):
        schema["default"] = parameter.default
    return ParameterSpec(
        name=name,
        param_in="query",
        description=parameter.description,
        required=parameter.required,
        schema=Schema(type=kind, **schema),
    )


def answers(kind: Any, description: str, media_type: str = "application/json", *, more: bool = False) -> dict[int, Any]:
    """The documented responses of a route: `kind` as 200, and the problems that every read can end in.

    `more`: the answer is paged by a `Link` header.
    """
    text = f'{description} A `Link` header with `rel="next"` leads to the next page.' if more else description
    problems = {400: "The query is at fault.", 404: "No such thing.", 422: "Too big a question.", 503: "Try again."}
    listed: dict[int, Any] = {
        status: ResponseSpec(dict[str, Any], generate_examples=False, description=reason)
        for status, reason in problems.items()
    }
    return {200: ResponseSpec(kind, generate_examples=False, description=text, media_type=media_type), **listed}
