"""What the body of `POST /v1/jobs` may be: a kind of job, and what that kind is asked for. Makes the job of it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.api import replay_request
from tidemill.api.json_body import refuse, shaped
from tidemill.api.services import Services
from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.mill.verify.scope import check_feed
from tidemill.model.ids import new_receipt
from tidemill.model.job import AnyJob
from tidemill.model.job_kinds import KINDS
from tidemill.model.replay import Replay
from tidemill.model.time import parse_instant
from tidemill.model.verification import Verification, VerifyRequest


class VerifyBody(msgspec.Struct, frozen=True):
    """What to verify: one feed (by default all), what was received from an instant on (RFC 3339; by default all)."""

    feed: str | None = None
    since: str | None = None


def job_of(data: Any, tenant: str, services: Services, now_ns: int) -> AnyJob:
    """The job that a document asks for, queued. Raises InputError naming every fault, UnavailableError."""
    if not isinstance(data, dict):
        refuse([Fault("$", "wrong_type", "must be an object with the `kind` of the job")])
    kind = data.get("kind")
    maker = MAKERS.get(kind) if isinstance(kind, str) else None
    if maker is None:
        code = "missing" if "kind" not in data else "unknown"
        refuse([Fault("$.kind", code, f"'kind' must be one of {', '.join(KINDS)}")])
    assert maker is not None
    return maker({name: value for name, value in data.items() if name != "kind"}, tenant, services, now_ns)


def replay_of(body: replay_request.ReplayBody, tenant: str, services: Services, now_ns: int) -> Replay:
    """The replay that a body asks for. Raises InputError for a feed or a version that is not there."""
    try:
        feed = services.book.current(tenant, body.feed)
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.feed", "not_found", error.message),)) from None
    try:
        version = feed.version if body.version is None else body.version
        services.book.version(tenant, body.feed, version)
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.version", "not_found", error.message),)) from None
    chosen = replay_request.request(body, version)
    return Replay(id=new_receipt(now_ns), tenant=tenant, request=chosen, state="queued", created_ns=now_ns)


def verification_of(tenant: str, request: VerifyRequest, now_ns: int) -> Verification:
    """A queued verification."""
    return Verification(id=new_receipt(now_ns), tenant=tenant, request=request, state="queued", created_ns=now_ns)


def _replay(data: dict[str, Any], tenant: str, services: Services, now_ns: int) -> AnyJob:
    return replay_of(replay_request.body_of(data), tenant, services, now_ns)


def _verify(data: dict[str, Any], tenant: str, services: Services, now_ns: int) -> AnyJob:
    body, faults = shaped(data, VerifyBody)
    since_ns: int | None = None
    if body is not None and body.since is not None:
        try:
            since_ns = parse_instant(body.since)
        except ValueError as error:
            faults.append(Fault("$.since", "time_invalid", str(error)))
    refuse(faults)
    assert body is not None
    try:
        check_feed(services.store, services.book, [tenant], body.feed or "")
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.feed", "not_found", error.message),)) from None
    return verification_of(tenant, VerifyRequest(feed=body.feed or "", since_ns=since_ns), now_ns)


MAKERS: Final[dict[str, Callable[[dict[str, Any], str, Services, int], AnyJob]]] = {
    "replay": _replay,
    "verify": _verify,
}
