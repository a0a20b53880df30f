"""Answers errors raised in Litestar's handlers, Litestar's own and Tidemill's, with problem documents."""

import re
from functools import lru_cache
from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.routes import HTTPRoute

from tidemill.api import problems
from tidemill.api.nearest_questions import ready_questions
from tidemill.api.problems import HttpAnswer, MethodError
from tidemill.errors import Fault, InputError, LimitError, NotFoundError, TidemillError, TooBigQuestionError

_BODY_CUT_OFF = "client disconnected prematurely"  # Litestar's message for a body that is cut off


@lru_cache(maxsize=512)
def _pattern(path_format: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", path_format))


def exception_handlers(intake_methods: Any) -> dict[Any, Any]:
    """The exception handlers for the Litestar app. `intake_methods(path)`: the methods of the front layer's routes."""

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        questions = ready_questions(request, error) if isinstance(error, TooBigQuestionError) else None
        return to_response(problems.problem_answer(translate_error(request, error, intake_methods), questions))

    return {Exception: handle, HTTPException: handle, TidemillError: handle}


def to_response(answer: HttpAnswer) -> Response[bytes]:
    """An `HttpAnswer` as a Litestar response."""
    headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
    kind = headers.pop("content-type")
    headers.pop("content-length", None)
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=kind)


def translate_error(request: Request[Any, Any, Any], error: Exception, intake_methods: Any) -> Exception:
    """Litestar's own errors as those of Tidemill; any other error unchanged."""
    path, method = request.scope["path"], request.scope["method"]
    if isinstance(error, MethodNotAllowedException | NotFoundException):
        allowed = allowed_methods(request.app, path, intake_methods)
        if allowed:
            return MethodError(method, path, allowed)
        return NotFoundError(f"There is nothing at {path[:200]}. /docs lists what there is.")
    if isinstance(error, ValidationException):
        return InputError(error.detail, tuple(_faults(error)))
    if isinstance(error, InternalServerException) and error.detail == _BODY_CUT_OFF:
        return LimitError("body_timeout", 0, "The request did not arrive whole.")  # the client has disconnected
    if isinstance(error, HTTPException) and error.status_code == 413:
        return LimitError("max_body", 0, "The body is too large.")
    if isinstance(error, HTTPException) and 400 <= error.status_code < 500:
        return InputError(error.detail)
    return error


def allowed_methods(app: Litestar, path: str, intake_methods: Any) -> tuple[str, ...]:
    """Every method of a path, for `Allow`, with HEAD beside GET; () for an unknown path."""
    allowed = set(intake_methods(path)) | _methods(app, path)
    if allowed:
        allowed |= {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())
    return tuple(sorted(allowed))


def _methods(app: Litestar, path: str) -> set[str]:
    """The methods of Litestar's routes for a path. Called only when a request failed."""
    path = path.rstrip("/") or "/"
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    routes = [route for route in routes if route.path_format == path] or routes  # an exact path before a pattern
    return {method for route in routes if _pattern(route.path_format).fullmatch(path) for method in route.methods}


def _faults(error: ValidationException) -> list[Fault]:
    items: Any = error.extra if isinstance(error.extra, list) else []
    return [
        Fault(f"${item.get('source', '')}.{item.get('key', '')}", "invalid", item.get("message", "")) for item in items
    ]
