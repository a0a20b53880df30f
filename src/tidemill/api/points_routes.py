"""The route that takes payloads of open feeds, `POST /v1/points`, and what `POST /v1/feeds/{feed}` does for them."""

from typing import Final
from urllib.parse import parse_qsl

import msgspec

from tidemill.api import prefer
from tidemill.api.auth import Authenticator
from tidemill.api.body import Incoming
from tidemill.api.front import Route
from tidemill.api.open_intake import OpenAccepted, OpenIntake
from tidemill.api.problems import HttpAnswer
from tidemill.api.receipt_answers import ReceiptAnswers
from tidemill.catalog.keys import Principal
from tidemill.decode.open.options import parse_options
from tidemill.errors import Fault, InputError

DEFAULT_FEED: Final = "points"


class PointsRoutes:
    """Handlers of payloads of open feeds."""

    def __init__(self, intake: OpenIntake, answers: ReceiptAnswers, authenticator: Authenticator) -> None:
        self._intake, self._answers, self._authenticator = intake, answers, authenticator

    def routes(self) -> list[Route]:
        """The routes, for `Routes`."""
        return [Route("POST", "/v1/points", self.post_points)]

    async def post_points(self, incoming: Incoming) -> HttpAnswer:
        """Records that bring their names, tags and fields: `202` when they are durable."""
        principal = self._authenticator.authorize(incoming.headers, "write", incoming.address)
        given = query_values(incoming)
        return await self._post(incoming, principal, given.pop("feed", DEFAULT_FEED), given)

    async def post_to(self, incoming: Incoming, principal: Principal, feed: str) -> HttpAnswer:
        """A payload of the open feed `feed`: `202` when it is durable."""
        return await self._post(incoming, principal, feed, query_values(incoming))

    async def _post(self, incoming: Incoming, principal: Principal, feed: str, given: dict[str, str]) -> HttpAnswer:
        taken = await self._intake.accept(incoming, principal, feed, None, parse_options(given))
        answer = await self._answers.receipt(incoming, taken.accepted, 202)
        return _with_errors(answer, taken) if prefer_wait(incoming) else answer


def prefer_wait(incoming: Incoming) -> bool:
    """Whether a request asks to wait for the outcome."""
    return prefer.preferred_wait_s(incoming.headers.get(b"prefer"), 1.0) is not None


def query_values(incoming: Incoming) -> dict[str, str]:
    """The parameters of a request. Raises InputError for one that is there twice, or bytes that are not UTF-8."""
    try:
        pairs = parse_qsl(incoming.query.decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise InputError(
            "The query is not percent-encoded UTF-8.", (Fault("$query", "invalid_utf8", "no UTF-8"),)
        ) from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            message = f"'{name[:60]}' is there twice"
            raise InputError(
                f"The query cannot be read: {message}.", (Fault(f"$query.{name[:60]}", "conflict", message),)
            )
        values[name] = value
    return values


def _with_errors(answer: HttpAnswer, taken: OpenAccepted) -> HttpAnswer:
    """An answer with a receipt, with the first faults of its records as `errors`."""
    body = answer.body[:-1] + b',"errors":' + msgspec.json.encode([fault for _, fault in taken.check.faults]) + b"}"
    headers = [pair for pair in answer.headers if pair[0] != b"content-length"]
    return HttpAnswer(answer.status, [*headers, (b"content-length", b"%d" % len(body))], body)
