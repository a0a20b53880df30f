"""Tries a definition over a sample, in a worker process: `POST /v1/feeds/trial` waits for it.

A definition and a sample are work of unknown size, and checks and decoders of other packages may raise or take long:
none of it runs in the process that takes payloads.
"""

import os
import tomllib
from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill.api import formats
from tidemill.api.problems import MediaTypeError
from tidemill.checks.look_back import PastCheck
from tidemill.errors import Fault, FeedDefinitionError
from tidemill.feeds.definition import Feed
from tidemill.feeds.fault_places import SOURCE, PlacedFault, place_faults
from tidemill.feeds.load import load_feed
from tidemill.feeds.revise import check_revision
from tidemill.feeds.variables import visible_variables
from tidemill.mill.trial import TrialRecord, TriedPayload, try_payload
from tidemill.model.feed_text import FeedText
from tidemill.model.payload import Payload

MAX_FAULTS: Final = 200  # of a definition
_NO_SAMPLE: Final = TriedPayload(0, 0, 0, 0, {}, (), None, [])


class TrialTask(msgspec.Struct, frozen=True, kw_only=True):
    """What to try. `name`: the feed that the definition is to be of (null: the one that it names), `before` its newest
    text. `bound_variables`, `closed`: as `visible_variables` takes them. `sample` null: only the definition is checked.
    `form`: the format of a sample that was taken before; else `content_type` and the bytes decide it, as for a request.
    `received_ns`: when the sample counts as received. `first`, `limit`: which of its records to answer."""

    tenant: str
    text: str
    name: str | None
    before: FeedText | None
    bound_variables: str
    closed: bool
    sample: bytes | None
    form: str | None
    content_type: str | None
    received_ns: int
    first: int
    limit: int
    max_depth: int


class Refusal(msgspec.Struct, frozen=True):
    """How a request with the sample would be refused: its status, the code and the sentence of its problem, and
    `errors` as such an answer lists them. The records of a sample that is refused with 400 are in the ledger all the
    same."""

    status: int
    code: str
    detail: str
    errors: list[Fault]


class FeedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What a definition makes of a sample. `faults`: those of the definition, at most 200; with any, nothing is tried.
    `feed` and `format` are null where they are not known. `total`: the records of the sample, of which `accepted` and
    `rejected` add up; `flagged` are among the accepted. `refused`: null where the sample would be taken. `records`: a
    page of them, `next` the `first` of the following page (null: there is none). `looks_back`: some rules need earlier
    points, and are judged by the sample alone."""

    feed: str | None
    faults: list[PlacedFault]
    format: str | None
    total: int
    accepted: int
    rejected: int
    flagged: int
    by_reason: dict[str, int]
    refused: Refusal | None
    looks_back: bool
    no_bytes: str | None
    records: list[TrialRecord]
    next: int | None


def try_feed(task: bytes) -> bytes:
    """The FeedTrial of a TrialTask, both encoded (MessagePack, JSON)."""
    return msgspec.json.encode(run_trial(msgspec.msgpack.decode(task, type=TrialTask)))


def run_trial(task: TrialTask) -> FeedTrial:
    """The FeedTrial of a TrialTask."""
    environment = visible_variables(os.environ, task.bound_variables, task.tenant, closed=task.closed)
    try:
        name = task.name or _own_name(task.text)
        check_revision(task.text, name, task.before, source=SOURCE, environment=environment)
        feed = load_feed(task.text, source=SOURCE, environment=environment)
    except FeedDefinitionError as error:
        return _trial(None, faults=place_faults(task.text, error.faults[:MAX_FAULTS]))
    version = 1 if task.before is None else task.before.version + 1
    feed = msgspec.structs.replace(feed, version=version)
    if task.sample is None:
        return _trial(feed)
    try:
        form = task.form or _settled_format(feed, task.content_type, task.sample)
    except MediaTypeError as error:
        return _trial(feed, refused=Refusal(415, error.code, error.message, []))
    payload = Payload("", task.tenant, feed.name, feed.version, task.received_ns, form, task.sample, b"")
    tried = try_payload(feed, payload, range(task.first, task.first + task.limit), task.max_depth)
    refused = None
    if tried.refused:
        first = tried.refused[0]
        refused = Refusal(400, "refused", f"{first.path}: {first.message}", list(tried.refused))
    last = task.first + task.limit
    following = last if last < tried.total else None
    return _trial(feed, form=form, tried=tried, refused=refused, following=following)


def _trial(
    feed: Feed | None,
    *,
    faults: Sequence[PlacedFault] = (),
    form: str | None = None,
    tried: TriedPayload = _NO_SAMPLE,
    refused: Refusal | None = None,
    following: int | None = None,
) -> FeedTrial:
    return FeedTrial(
        feed=None if feed is None else feed.name,
        faults=list(faults),
        format=form,
        total=tried.total,
        accepted=tried.accepted,
        rejected=tried.rejected,
        flagged=tried.flagged,
        by_reason=tried.by_reason,
        refused=refused,
        looks_back=feed is not None and any(isinstance(rule.compiled(), PastCheck) for rule in feed.rules),
        no_bytes=tried.no_bytes,
        records=tried.records,
        next=following,
    )


def _own_name(text: str) -> str:
    """The name that a definition gives; a text of no name has a fault that says so."""
    try:
        name = tomllib.loads(text).get("name")
    except (tomllib.TOMLDecodeError, RecursionError):
        name = None
    return name if isinstance(name, str) else SOURCE


def _settled_format(feed: Feed, content_type: str | None, sample: bytes) -> str:
    """The format of a sample, as intake decides it. Raises MediaTypeError."""
    header = None if content_type is None else content_type.encode("latin-1", "replace")
    return formats.settle_format(formats.named_format(header, feed.input.formats), sample, feed.input.formats)
