"""Declares read routes: path, parameters as a struct, documented answers, and one function of the resource.

The declaration parses requests and documents the route in OpenAPI and docs/reference. Queries of the store run in a few
threads of their own, so that slow queries wait for each other and intake never waits for them.
"""

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Concatenate, Final, Generic, TypeVar
from urllib.parse import parse_qsl, urlencode

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, Schema
from litestar.openapi.spec import Parameter as ParameterSpec
from litestar.response import Stream

from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, InputError
from tidemill.feeds.definition import Feed
from tidemill.query.answers import MEDIA_TYPES, Page, json_page
from tidemill.query.parameters import DeclaredParameter, Q, QueryParameters, declared_parameters, read_query
from tidemill.query.queries import Queries

THREADS: Final = 6  # the engine works on a few queries at a time; more would only queue in it
_MAX_PARAMETERS: Final = 100
_PROBLEMS: Final = {400: "The query is at fault.", 404: "No such thing.", 422: "Too big a question.", 503: "Try again."}
_UNCHANGED: Final = "`If-None-Match` has the `ETag` of this answer."
_BYTES: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
_FILES: Final = {
    MEDIA_TYPES["json"]: Schema(description="Any JSON value."),
    MEDIA_TYPES["csv"]: Schema(type=OpenAPIType.STRING, description="A line for each item, after one with the names."),
    MEDIA_TYPES["ndjson"]: Schema(type=OpenAPIType.STRING, description="An item of the JSON answer on each line."),
}
_TAG: Final = re.compile(r'"([^"]*)"')
_limiter: RunVar[CapacityLimiter] = RunVar("reads")
_T = TypeVar("_T")
AnyRequest = Request[Any, Any, Any]


@dataclass(slots=True)
class ReadCall(Generic[Q]):
    """One request of a read route: its principal and its query."""

    request: AnyRequest
    services: Services
    principal: Principal
    query: Q

    @property
    def tenant(self) -> str:
        """The tenant whose data is read."""
        return self.principal.tenant

    @property
    def known(self) -> frozenset[str]:
        """The tags of answers that the client has (`If-None-Match`)."""
        return known_tags(self.request)

    @property
    def queries(self) -> Queries:
        """The queries of the store."""
        return self.services.queries


Work = Callable[Concatenate[ReadCall[Q], ...], Any]


def reading(
    path: str, query: type[Q], *, scope: str = "read", of_store: bool = True, **documented: Any
) -> Callable[[Work[Q]], HTTPRouteHandler]:
    """Decorates a function as a read route, whose answer it returns: a struct, a page, or a whole response.

    The function gets the call and the parameters of the path. It runs in a thread for reads, or in any thread where it
    does not query the store (`of_store` false); a coroutine function runs in the event loop. `documented` are
    arguments of Litestar's `get`.
    """

    def declare(work: Work[Q]) -> HTTPRouteHandler:
        run_in_thread = ask_store if of_store else to_thread.run_sync

        async def handler(request: AnyRequest) -> Response[Any]:
            call = ReadCall(request, *_caller(request), parse_query(request, query))
            if iscoroutinefunction(work):
                return response_of(request, await work(call, **request.path_params))
            return response_of(request, await run_in_thread(lambda: work(call, **request.path_params)))

        return _documented(path, query, scope, work, documented)(handler)

    return declare


def reading_feed(
    path: str, query: type[Q], **documented: Any
) -> Callable[[Callable[Concatenate[ReadCall[Q], Feed, ...], Any]], HTTPRouteHandler]:
    """As `reading`, for a route below a feed: the function gets the newest version of the feed, which may be removed,
    in place of its name. The feed's own tags filter by their plain names, too: `user_id=a1` for `tag.user_id=a1`."""

    def declare(work: Callable[Concatenate[ReadCall[Q], Feed, ...], Any]) -> HTTPRouteHandler:
        async def handler(request: AnyRequest) -> Response[Any]:
            services, principal = _caller(request)
            others = dict(request.path_params)

            def answer() -> Any:
                feed = services.book.newest(principal.tenant, others.pop("feed"))
                return work(
                    ReadCall(request, services, principal, parse_query(request, query, feed.tags)), feed, **others
                )

            return response_of(request, await ask_store(answer))

        return _documented(path, query, "read", work, documented)(handler)

    return declare


def _caller(request: AnyRequest) -> tuple[Services, Principal]:
    return request.app.state["services"], request.scope["principal"]  # type: ignore[typeddict-item]


def _documented(
    path: str, query: type[QueryParameters], scope: str, work: Callable[..., Any], documented: dict[str, Any]
) -> Callable[[Any], HTTPRouteHandler]:
    """Litestar's decorator for a handler with the documentation of `work` and its name in camel case."""
    operation = operation_of(query, also=documented.pop("also", ()))

    def decorate(handler: Any) -> HTTPRouteHandler:
        handler.__name__, handler.__doc__ = work.__name__, work.__doc__
        first, *others = work.__name__.split("_")
        name = first + "".join(map(str.title, others))
        return get(path, operation_id=name, operation_class=operation, opt={"scope": scope}, **documented)(handler)

    return decorate


def known_tags(request: AnyRequest) -> frozenset[str]:
    """The tags of answers that the client has (`If-None-Match`)."""
    return frozenset(_TAG.findall(request.headers.get("if-none-match", "")))


async def ask_store(work: Callable[[], _T]) -> _T:
    """The result of `work`, a query of the store, run in one of the threads for reads."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(THREADS)
        _limiter.set(limiter)
    return await to_thread.run_sync(work, limiter=limiter)


def parse_query(request: AnyRequest, kind: type[Q], tags: Collection[str] = ()) -> Q:
    """The query of a request; `tags` as `query.parameters.read` takes them. Raises InputError naming every fault."""
    raw = request.scope["query_string"].decode("latin-1")
    try:
        given = parse_qsl(raw, keep_blank_values=True, errors="replace", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        message = f"a query has at most {_MAX_PARAMETERS} parameters"
        raise InputError(message, (Fault("$query", "too_many", message),)) from None
    return read_query(given, kind, tags)


def response_of(request: AnyRequest, answer: Any) -> Response[Any]:
    """The response of an answer: a page is streamed while the store still writes it; `Link: <...>; rel="next"` leads to
    the next page, if any. A page with a tag may be kept, and asked again with `If-None-Match`: then `304`."""
    if isinstance(answer, Response):
        return answer
    page = answer if isinstance(answer, Page) else json_page(answer)
    headers = {} if page.next is None else {"Link": f'<{next_page(request, page.next)}>; rel="next"'}
    if page.etag is not None:
        headers |= {"ETag": f'W/"{page.etag}"', "Cache-Control": "private, no-cache"}
    if page.unchanged:
        return Response(b"", status_code=304, headers=headers, media_type=page.media_type)
    if isinstance(page.body, bytes):
        return Response(page.body, media_type=page.media_type, headers=headers)
    return Stream(_pieces(page.body), media_type=page.media_type, headers=headers)


def next_page(request: AnyRequest, cursor: str) -> str:
    """The URL of the same request from a cursor on, relative to the server."""
    raw = request.scope["query_string"].decode("latin-1")
    kept = [(name, text) for name, text in parse_qsl(raw, keep_blank_values=True) if name != "cursor"]
    return f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"


async def _pieces(body: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a body, each read in a thread; ends the query when the client disconnects."""
    try:
        while (piece := await ask_store(lambda: next(body, None))) is not None:
            if piece:
                yield piece
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def operation_of(kind: type[QueryParameters], *, also: Sequence[str] = ()) -> type[Operation]:
    """The OpenAPI operation of a route with these query parameters. Its answer 200 has the stated media type, those of
    a parameter `format`, and those in `also`."""
    fields = declared_parameters(kind)
    formats = [name for field in fields if field.name == "format" for name in field.parameter.schema["enum"]]
    media_types = [*also, *(MEDIA_TYPES[name] for name in formats)]

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            self.parameters = [*(self.parameters or []), *map(_parameter_spec, fields)]
            add_media_types(self, media_types)

    return Documented


def add_media_types(operation: Operation, media_types: Sequence[str]) -> None:
    """Documents that the answer 200 of an operation may have these media types, too."""
    answer = (operation.responses or {}).get("200")
    if isinstance(answer, OpenAPIResponse) and answer.content is not None:
        for media_type in media_types:
            answer.content.setdefault(media_type, OpenAPIMediaType(schema=_FILES.get(media_type, _BYTES)))


def _parameter_spec(field: DeclaredParameter) -> ParameterSpec:
    schema = dict(field.parameter.schema)
    kind = schema.pop("type", "string")
    if isinstance(field.default, str | int):
        schema["default"] = field.default
    if field.parameter.most > 1:
        item = Schema(type=kind, **schema)
        kind, schema = "array", {"items": item, "max_items": field.parameter.most}
    return ParameterSpec(
        name=f"{field.name}*" if field.name.endswith(".") else field.name,
        param_in="query",
        description=field.parameter.description,
        required=field.required,
        schema=Schema(type=kind, **schema),
    )


def answer_specs(
    kind: Any, description: str, media_type: str = "application/json", *, more: bool = False, tagged: bool = False
) -> dict[int, Any]:
    """The documented answers of a route: `kind` as 200, and the problems common to all reads.

    `more`: the answer is paged by a `Link` header. `tagged`: it may have an `ETag`, and is 304 where the client has it.
    """
    problems: dict[int, Any] = {status: problem_spec(reason) for status, reason in _PROBLEMS.items()}
    if tagged:
        problems[304] = ResponseSpec(None, generate_examples=False, description=_UNCHANGED)
    text = f'{description} A `Link` header with `rel="next"` leads to the next page.' if more else description
    return {200: ResponseSpec(kind, generate_examples=False, description=text, media_type=media_type), **problems}


def answers_with(
    kind: Any,
    description: str,
    *problems: int,
    status: int = 200,
    media_type: str = MEDIA_TYPES["json"],
    more: bool = False,
) -> dict[int, Any]:
    """As `answer_specs`, with `kind` under `status` and only the problems of these statuses."""
    specs = answer_specs(kind, description, media_type, more=more)
    return {status: specs[200], **{problem: specs[problem] for problem in problems}}


def problem_spec(description: str) -> ResponseSpec:
    """A documented answer that is a problem document."""
    return ResponseSpec(dict[str, Any], generate_examples=False, description=description)
