"""Small helpers of the query tests: questions as a client would put them, and answers read back."""

import json
from collections.abc import Sequence
from typing import Any

from tidemill.model.payload import Logged
from tidemill.model.time import parse_instant
from tidemill.query.answers import Page
from tidemill.query.parameters import Parameter, read
from tidemill.query.queries import Queries
from tidemill.store.client import Store

START = parse_instant("2026-01-01T00:00:00Z")
SECOND = 10**9


class EmptyLog:
    """A log that keeps nothing any more."""

    def find(self, tenant: str, receipt: str) -> Logged | None:
        return None


def ns(text: str) -> int:
    return parse_instant(text)


def asked(known: Sequence[Parameter], **given: str) -> dict[str, Any]:
    """Parameters as a request gives them; `tag__user_id` stands for `tag.user_id`."""
    return read([(name.replace("__", "."), text) for name, text in given.items()], known)


def queries(store: Store, log: Any = None, **options: Any) -> Queries:
    return Queries(store, log or EmptyLog(), **options)


def whole(page: Page) -> bytes:
    return page.body if isinstance(page.body, bytes) else b"".join(page.body)


def document(page: Page) -> Any:
    return json.loads(whole(page))
