"""Intake: one payload from its request to a durable place in the log, checked against its feed's contract.

Knows nothing of the store. What it answers 2xx to is durable; what the contract or a rule of action `refuse` refuses is
durable too, as REFUSED with its faults; a body whose content coding cannot be undone is kept packed, as it came. What
never became a payload (unknown feed, unknown format or coding, over a limit) is not kept.
"""

import asyncio
import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from tidemill.api import body, formats, unpack
from tidemill.api.body import Gate, Incoming
from tidemill.api.metrics import Metrics
from tidemill.api.problems import MediaTypeError, RefusedError
from tidemill.api.services import Services, in_force
from tidemill.api.unpack import EncodingError
from tidemill.catalog.keys import Principal
from tidemill.decode.decoder import Decoder
from tidemill.errors import Fault, FeedDefinitionError, InputError, UnavailableError
from tidemill.feeds.definition import Feed
from tidemill.log.contract import Appended
from tidemill.model.ids import new_receipt
from tidemill.model.payload import EntryKind, LogEntry, Payload, format_with_tags

if TYPE_CHECKING:
    from tidemill.rules.refuse_times import LocalTimeCheck

log = logging.getLogger(__name__)

OFF_LOOP_BYTES: Final = 128 << 10  # larger bodies are unpacked, hashed and checked in a thread (about 1 ms of work)
THREADS: Final = 4  # of its own: whoever waits for the store elsewhere must not hold intake up
MAX_DECODERS: Final = 1024
MAX_KEY: Final = 255  # characters of an Idempotency-Key
_CURL_FORM: Final = b"application/x-www-form-urlencoded"
_GLUED: Final = re.compile(rb"\}[ \t]*\{")  # documents one after the other in one line
_T = TypeVar("_T")
_NOTHING_ASKED: Final[Mapping[str, str]] = {}


class DeclaredBody(msgspec.Struct, frozen=True):
    """What the headers say of a body: its format and its encoding, each null where they say nothing."""

    format: str | None
    encoding: str | None


class PreparedBody(msgspec.Struct, frozen=True):
    """A body as it will be kept: unpacked, its format settled, hashed, its faults found. One that cannot be unpacked is
    as it came; its format is its coding."""

    body: bytes
    format: str
    sha256: bytes
    faults: tuple[Fault, ...]


class Accepted(msgspec.Struct, frozen=True):
    """A payload that is durable, and its place."""

    payload: Payload
    appended: Appended


class Intake:
    """Takes payloads of any feed. One per process; lives in one event loop."""

    def __init__(self, services: Services, gate: Gate, metrics: Metrics) -> None:
        self._services = services
        self._settings = services.settings
        self._metrics = metrics
        self._gate = gate
        self._decoders: OrderedDict[tuple[str, str, int], Decoder] = OrderedDict()
        self._local_times: WeakKeyDictionary[Decoder, LocalTimeCheck] = WeakKeyDictionary()
        self._threads = ThreadPoolExecutor(THREADS, "intake")

    async def accept(
        self,
        incoming: Incoming,
        principal: Principal,
        name: str,
        *,
        fetched: bool = False,
        asked: Mapping[str, str] = _NOTHING_ASKED,
        fix: bool = False,
    ) -> Accepted:
        """Read, check and append one payload of the feed `name`. `fetched`: a source brought it, so what it says of its
        own format may be wrong, and it may be as large as a bulk body; `asked` is what it asked for. `fix`: it is one
        record, and a local time that has no instant is refused like any other fault of it.

        Raises NotFoundError, InputError (RefusedError when the bytes were kept), UnavailableError, ConflictError.
        """
        feed = self._services.book.cached(principal.tenant, name) or await self._feed(principal.tenant, name)
        declared = _declared(incoming, feed, fetched=fetched)
        raw = await self._read(incoming, bulk=fetched or feed.shape.kind == "samples")
        received_ns = self._services.clock()
        judged = bool(feed.rules) and not fetched and any(rule.action == "refuse" for rule in feed.rules)
        slow = judged or formats.plug_in(feed.input.formats)  # other people's code may take its time
        if declared.encoding is None and len(raw) < OFF_LOOP_BYTES and not slow:
            checked = self._check(principal.tenant, feed, raw, declared, received_ns, asked=asked)
        else:
            checked = await self.off_loop(
                lambda: self._check(principal.tenant, feed, raw, declared, received_ns, asked=asked, judged=judged)
            )
            incoming.hold(self._gate, len(checked.body) if declared.encoding else 0)
        if fix and not checked.faults and feed.input.on_fault == "refuse":
            checked = self._timed(principal.tenant, feed, checked, received_ns)
        return await self._append(incoming, principal.tenant, feed, checked, received_ns)

    async def _feed(self, tenant: str, name: str) -> Feed:
        """The feed in force. One that cannot be read is no fault of who sends: it may come back."""
        try:
            return await in_force(self._services.book, tenant, name)
        except FeedDefinitionError as error:
            raise UnavailableError(f"The feed '{name}' cannot be read now: {error.message}", 60.0) from error

    async def off_loop(self, work: Callable[[], _T]) -> _T:
        """Do work on a large body in a thread of intake's."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def decoder(self, tenant: str, feed: Feed) -> Decoder:
        """The decoder of a feed version, made once."""
        key = (tenant, feed.name, feed.version)
        decoder = self._decoders.get(key)
        if decoder is None:
            decoder = self._decoders[key] = Decoder(feed, max_depth=self._settings.max_depth)
            if len(self._decoders) > MAX_DECODERS:
                self._decoders.popitem(last=False)
        return decoder

    async def append(self, payload: Payload, key: str | None = None) -> Appended:
        """Make a payload durable and wake the mill. Raises LogUnavailableError or ConflictError."""
        appended = await self._services.log.append_async(payload, key)
        self._services.applied.grew(appended.seq)
        if not appended.replayed:
            self._metrics.took(payload.feed, payload.kind.name.lower(), len(payload.body))
        return appended

    async def _read(self, incoming: Incoming, *, bulk: bool) -> bytes:
        if bulk:
            return await body.read(incoming, self._gate, self._settings.max_bulk_body, "max_bulk_body")
        return await body.read(incoming, self._gate, self._settings.max_body, "max_body")

    def _check(
        self,
        tenant: str,
        feed: Feed,
        raw: bytes,
        declared: DeclaredBody,
        received_ns: int,
        *,
        asked: Mapping[str, str],
        judged: bool = False,
    ) -> PreparedBody:
        if declared.encoding is not None:
            sizes = self._settings
            try:
                raw = unpack.unpack(raw, declared.encoding, max_size=sizes.max_unpacked, max_ratio=sizes.max_ratio)
            except EncodingError as error:
                return PreparedBody(raw, declared.encoding, hashlib.sha256(raw).digest(), error.faults)
        settled = format_with_tags(formats.settle(declared.format, raw, feed.input.formats), asked)
        faults: tuple[Fault, ...] = ()
        if feed.input.on_fault == "refuse":
            faults = self.decoder(tenant, feed).check_payload(raw, settled, received_ns)
        sha256 = hashlib.sha256(raw).digest()
        if judged and not faults:
            payload = Payload("", tenant, feed.name, feed.version, received_ns, settled, raw, sha256)
            faults = _refusals(feed, payload, self.decoder(tenant, feed))
        return PreparedBody(raw, settled, sha256, faults)

    def _timed(self, tenant: str, feed: Feed, checked: PreparedBody, received_ns: int) -> PreparedBody:
        """The same, with a fault where the local time of its one record has no instant."""
        from tidemill.rules.refuse_times import (
            LocalTimeCheck,  # here: only feeds with local times need zones of positions
        )

        decoder = self.decoder(tenant, feed)
        local = self._local_times.get(decoder)
        if local is None:
            local = self._local_times[decoder] = LocalTimeCheck(feed)
        payload = Payload(
            "", tenant, feed.name, feed.version, received_ns, checked.format, checked.body, checked.sha256
        )
        faults = local.faults(checked.body, lambda: decoder.decode_batch([LogEntry(0, payload)]))
        return msgspec.structs.replace(checked, faults=faults) if faults else checked

    async def _append(
        self, incoming: Incoming, tenant: str, feed: Feed, checked: PreparedBody, received_ns: int
    ) -> Accepted:
        payload = Payload(
            receipt=new_receipt(received_ns),
            tenant=tenant,
            feed=feed.name,
            feed_version=feed.version,
            received_ns=received_ns,
            format=checked.format,
            body=checked.body,
            sha256=checked.sha256,
            kind=EntryKind.REFUSED if checked.faults else EntryKind.DATA,
            faults=checked.faults,
        )
        key = _key(incoming)
        if checked.faults:  # a refused payload does not use up its idempotency key: it is sent again, corrected
            appended = await self.append(payload)
            raise RefusedError(_sentence(checked, feed, incoming), checked.faults, appended.receipt)
        return Accepted(payload, await self.append(payload, key))


def _refusals(feed: Feed, payload: Payload, decoder: Decoder) -> tuple[Fault, ...]:
    """What a feed's rules of action `refuse` say of a payload. A rule that fails itself refuses nothing: the payload is
    kept, and the mill decides."""
    from tidemill.rules.refuse import refusals  # here: only feeds with such rules need it

    try:
        return refusals(feed, payload, decoder.decode_batch([LogEntry(0, payload)]))
    except Exception:
        log.exception("the rules of a feed could not be asked", extra={"facts": {"feed": feed.name}})
        return ()


def _declared(incoming: Incoming, feed: Feed, *, fetched: bool) -> DeclaredBody:
    headers = incoming.headers
    encoding = unpack.encoding(headers.get(b"content-encoding"))
    try:
        return DeclaredBody(formats.named(headers.get(b"content-type"), feed.input.formats), encoding)
    except MediaTypeError:
        if fetched:
            return DeclaredBody(None, encoding)
        raise


def _key(incoming: Incoming) -> str | None:
    key = incoming.headers.get(b"idempotency-key")
    if key and len(key) > MAX_KEY:
        message = f"An Idempotency-Key has at most {MAX_KEY} characters."
        raise InputError(message, (Fault("$header.Idempotency-Key", "too_long", message),))
    return key.decode("latin-1") if key else None


def _sentence(checked: PreparedBody, feed: Feed, incoming: Incoming) -> str:
    faults = checked.faults
    first = f"{faults[0].path}: {faults[0].message}"
    more = f" ({len(faults) - 1} more in `errors`)" if len(faults) > 1 else ""
    hint = ""
    from_curl = incoming.headers.get(b"content-type") == _CURL_FORM
    if from_curl and faults[0].code == "invalid_json" and _GLUED.search(checked.body):
        hint = " curl -d takes line breaks out of a file; send lines with --data-binary."
    return f"The feed '{feed.name}' refuses this payload. {first}{more}.{hint}"
