"""One request with its retries: the same request again after 429, 503, 507 or no answer, with longer and longer pauses.

Every request of the client can be sent twice with the effect of one: reads change nothing, a feed's text applied again
makes no new version, and a payload has an Idempotency-Key.
"""

import random
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from tidemill.client.problems import RETRIED, problem_error
from tidemill.client.steps import Call, HttpReply, HttpRequest, NoReply, Pause
from tidemill.errors import TidemillError, UnavailableError

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0
T = TypeVar("T")


def exchange(request: HttpRequest, patience_s: float) -> Call[HttpReply]:
    """The good reply to a request. Pauses for `Retry-After` seconds, else from FIRST_PAUSE_S doubling to
    LONGEST_PAUSE_S, shortened at random by up to half, for at most `patience_s` seconds of pauses in all.

    Raises the ProblemError of a problem document, and UnavailableError where no answer came.
    """
    pause_s, left_s = FIRST_PAUSE_S, patience_s
    while True:
        reply = yield request
        if isinstance(reply, HttpReply) and reply.status < 400:
            return reply
        asked_s = _retry_after_s(reply) if isinstance(reply, HttpReply) else None
        if isinstance(reply, HttpReply) and reply.status not in RETRIED:
            raise problem_error(reply.status, reply.body, asked_s)
        wait_s = asked_s if asked_s is not None else pause_s * random.uniform(0.5, 1.0)
        if wait_s > left_s:
            raise _exhausted(reply, asked_s)
        yield Pause(wait_s)
        left_s -= wait_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def read_json(reply: HttpReply, kind: type[T]) -> T:
    """The JSON document of a good reply. Raises TidemillError for another document."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.DecodeError as error:
        raise TidemillError(f"This is no answer of a Tidemill server: {error}") from None


def params_of(values: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """Query parameters: without those that are null; tags as `tag.NAME`."""
    given = [(name, str(value)) for name, value in values.items() if value is not None]
    return (*given, *((f"tag.{name}", value) for name, value in (tags or {}).items()))


def _retry_after_s(reply: HttpReply) -> float | None:
    try:
        return max(0.0, float(reply.headers["retry-after"]))
    except (KeyError, ValueError):  # none, or a date: Tidemill sends seconds
        return None


def _exhausted(reply: HttpReply | NoReply | None, asked_s: float | None) -> TidemillError:
    if isinstance(reply, HttpReply):
        return problem_error(reply.status, reply.body, asked_s)
    why = reply.why if isinstance(reply, NoReply) else "was waited for"
    return UnavailableError(f"No answer {why}")
