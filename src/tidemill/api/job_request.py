"""Makes jobs from the bodies of `POST /v1/jobs`: a kind of job, and the request of that kind."""

import os
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.api import replay_request
from tidemill.api.forecast_request import forecast_request, refuse_unfit
from tidemill.api.json_body import convert_document, refuse_faults
from tidemill.api.services import Services
from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.feeds.fault_places import SOURCE
from tidemill.feeds.revise import check_revision
from tidemill.feeds.variables import visible_variables
from tidemill.mill.verify.scope import check_feed
from tidemill.model.forecast import Fit
from tidemill.model.ids import new_receipt
from tidemill.model.job import AnyJob
from tidemill.model.job_kinds import KINDS
from tidemill.model.replay import Replay
from tidemill.model.time import parse_instant
from tidemill.model.verification import Verification, VerifyRequest


class VerifyBody(msgspec.Struct, frozen=True):
    """What to verify: one feed (default: all), and what was received from an instant on (RFC 3339; default: all)."""

    feed: str | None = None
    since: str | None = None


def job_of(data: Any, tenant: str, services: Services, now_ns: int) -> AnyJob:
    """The queued job that a document requests. Raises InputError naming every fault, UnavailableError."""
    if not isinstance(data, dict):
        refuse_faults([Fault("$", "wrong_type", "must be an object with the `kind` of the job")])
    kind = data.get("kind")
    maker = MAKERS.get(kind) if isinstance(kind, str) else None
    if maker is None:
        code = "missing" if "kind" not in data else "unknown"
        refuse_faults([Fault("$.kind", code, f"'kind' must be one of {', '.join(KINDS)}")])
    assert maker is not None
    return maker({name: value for name, value in data.items() if name != "kind"}, tenant, services, now_ns)


def replay_of(body: replay_request.ReplayBody, tenant: str, services: Services, now_ns: int) -> Replay:
    """The queued replay that a body requests. Raises InputError for an unknown feed or version, FeedDefinitionError for
    a draft with faults."""
    try:
        feed = services.book.current(tenant, body.feed)
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.feed", "not_found", error.message),)) from None
    try:
        version = feed.version if body.version is None else body.version
        services.book.version(tenant, body.feed, version)
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.version", "not_found", error.message),)) from None
    if body.definition is not None:
        _check_draft(body.definition, body.feed, tenant, services)
    request = replay_request.replay_request_of(body, version)
    return Replay(id=new_receipt(now_ns), tenant=tenant, request=request, state="queued", created_ns=now_ns)


def verification_of(tenant: str, request: VerifyRequest, now_ns: int, by: str = "") -> Verification:
    """The queued verification of a request; `by` is the id of its key."""
    job = new_receipt(now_ns)
    return Verification(id=job, tenant=tenant, request=request, state="queued", created_ns=now_ns, by=by)


def requested_by(job: AnyJob, key_id: str) -> AnyJob:
    """The job with the id of the key that asked for it, where its kind keeps that."""
    return msgspec.structs.replace(job, by=key_id) if isinstance(job, Verification) else job


def _check_draft(text: str, name: str, tenant: str, services: Services) -> None:
    closed = services.keys.ever_keys()
    environment = visible_variables(os.environ, services.settings.source_variables, tenant, closed=closed)
    check_revision(text, name, services.texts.current(tenant, name), source=SOURCE, environment=environment)


def _replay(data: dict[str, Any], tenant: str, services: Services, now_ns: int) -> AnyJob:
    return replay_of(replay_request.replay_body(data), tenant, services, now_ns)


def _forecast(data: dict[str, Any], tenant: str, services: Services, now_ns: int) -> AnyJob:
    request = forecast_request(data)
    try:
        services.queries.series.describe(tenant, request.series)
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.series", "not_found", error.message),)) from None
    refuse_unfit(services, tenant, request)
    return Fit(id=new_receipt(now_ns), tenant=tenant, request=request, state="queued", created_ns=now_ns)


def _verify(data: dict[str, Any], tenant: str, services: Services, now_ns: int) -> AnyJob:
    body, faults = convert_document(data, VerifyBody)
    since_ns: int | None = None
    if body is not None and body.since is not None:
        try:
            since_ns = parse_instant(body.since)
        except ValueError as error:
            faults.append(Fault("$.since", "time_invalid", str(error)))
    refuse_faults(faults)
    assert body is not None
    try:
        check_feed(services.store, services.book, [tenant], body.feed or "")
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.feed", "not_found", error.message),)) from None
    return verification_of(tenant, VerifyRequest(feed=body.feed or "", since_ns=since_ns), now_ns)


MAKERS: Final[dict[str, Callable[[dict[str, Any], str, Services, int], AnyJob]]] = {
    "replay": _replay,
    "verify": _verify,
    "forecast": _forecast,
}
