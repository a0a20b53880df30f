"""Answers with the receipt of a durable payload: as it is stored, or applied where the request waits for that."""

from typing import Final

from tidemill.api import outcomes, prefer
from tidemill.api.body import Incoming
from tidemill.api.intake import Accepted
from tidemill.api.outcomes import Outcomes
from tidemill.api.problems import Header, HttpAnswer

JSON: Final = (b"content-type", b"application/json")
REPLAYED: Final = (b"idempotency-replayed", b"true")


class ReceiptAnswers:
    """Makes the answers to requests whose payload is durable. `longest_wait_s` bounds `Prefer: wait`."""

    def __init__(self, outcomes_of: Outcomes, longest_wait_s: float) -> None:
        self._outcomes, self._longest_wait_s = outcomes_of, longest_wait_s

    async def receipt(self, incoming: Incoming, accepted: Accepted, status: int) -> HttpAnswer:
        """The answer with the receipt of a durable payload, applied where the request waits for that."""
        appended = accepted.appended
        headers = [JSON]
        body = None
        wait_s = prefer.preferred_wait_s(incoming.headers.get(b"prefer"), self._longest_wait_s)
        if wait_s is not None or appended.replayed:
            tenant = accepted.payload.tenant
            body = await self._outcomes.applied_receipt_json(tenant, appended.receipt, appended.seq, wait_s or 0.0)
        if body is not None and wait_s is not None:
            status = 200
            headers.append(prefer.applied_header(wait_s))
        return receipt_answer(status, headers, accepted, body or outcomes.stored_receipt(accepted.payload, appended))


def receipt_answer(status: int, headers: list[Header], accepted: Accepted, body: bytes) -> HttpAnswer:
    """The answer that carries a receipt, with the headers of every receipt; `headers` is extended."""
    headers += [(b"content-length", b"%d" % len(body)), outcomes.location_header(accepted.appended.receipt)]
    if accepted.appended.replayed:
        headers.append(REPLAYED)
    return HttpAnswer(status, headers, body)
