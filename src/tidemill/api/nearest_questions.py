"""The nearest questions that can be answered, in the problem document of one that is too big, ready to send."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Request

from tidemill.errors import TooBigQuestionError

MANY_POINTS = "/v1/points"


class ReadyQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question in words, and as a request: `url` relative to the server, and of a POST its `body`."""

    says: str
    url: str
    body: dict[str, Any] | None = None


def ready_questions(request: Request[Any, Any, Any], error: TooBigQuestionError) -> list[ReadyQuestion]:
    """The nearest questions as requests of the same route; `points` of one series is a request of `/v1/points`, and a
    route that has no such parameter gets the length of the windows."""
    path, body = request.url.path, request.scope["state"].get("question")
    if body is not None:
        return [ReadyQuestion(item.says, path, _changed_body(body, item.changes)) for item in error.nearest]
    raw = request.scope["query_string"].decode("latin-1")
    given = {name: text for name, text in parse_qsl(raw, keep_blank_values=True) if name != "cursor"}
    questions = []
    for item in error.nearest:
        changed, where = _changed(given, item.changes), path
        if "points" in changed and not path.endswith("/points"):  # an analysis has no such parameter
            changed = _changed(given, {"every": item.every})
        elif "points" in changed and path != MANY_POINTS:
            where, changed = MANY_POINTS, {"series": path.split("/")[-2], **changed}
            changed.pop("order", None)
        questions.append(ReadyQuestion(item.says, f"{where}?{urlencode(changed)}"))
    return questions


def _changed(given: dict[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    """The parameters with these changes: null leaves one out."""
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


def _changed_body(body: dict[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    changed = _changed(body, changes)
    return changed | {"points": int(changed["points"])} if "points" in changed else changed
