"""Takes payloads: reads the body, checks it against the feed's contract, and appends it to the log. Needs no store.

A payload answered with 2xx is durable. A payload that the contract or a rule of action `refuse` refuses is durable too,
as REFUSED with its faults; so is a body of another charset than UTF-8, and a body whose content coding cannot be
undone, which is kept as sent, still packed. A request for an unknown feed, of an unknown format or coding, or over a
limit makes no payload and is not kept.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from tidemill.api import body, formats, unpack
from tidemill.api.body import Gate, Incoming
from tidemill.api.metrics import Metrics
from tidemill.api.problems import MediaTypeError, RefusedCharsetError, RefusedError
from tidemill.api.services import Services, in_force
from tidemill.api.unpack import EncodingError
from tidemill.catalog.keys import Principal
from tidemill.decode.decoder import Decoder
from tidemill.errors import Fault, FeedDefinitionError, InputError, UnavailableError
from tidemill.feeds.definition import Feed
from tidemill.feeds.formats import JSON_FORMATS, OPEN_FORMATS
from tidemill.log.contract import Appended
from tidemill.model.ids import new_receipt
from tidemill.model.payload import EntryKind, LogEntry, Payload, format_with_tags

if TYPE_CHECKING:
    from tidemill.rules.refuse_times import LocalTimeCheck

log = logging.getLogger(__name__)

OFF_LOOP_BYTES: Final = 128 << 10  # larger bodies are unpacked, hashed and checked in a thread (about 1 ms of work)
THREADS: Final = 4  # of its own, so that requests that wait for the store cannot hold intake up
MAX_DECODERS: Final = 1024
MAX_KEY: Final = 255  # characters of an Idempotency-Key
_T = TypeVar("_T")
_NO_FETCH_PARAMETERS: Final[Mapping[str, str]] = {}


class DeclaredBody(msgspec.Struct, frozen=True):
    """The format and the content encoding of a body by its headers, each null where they name none. `charset`: one that
    is not taken, or null."""

    format: str | None
    encoding: str | None
    charset: str | None = None


class PreparedBody(msgspec.Struct, frozen=True):
    """A body as the log will keep it: unpacked, with its format, SHA-256 and faults. A body that cannot be unpacked
    stays packed, with its content coding as the format; one of another charset has that as its format."""

    body: bytes
    format: str
    sha256: bytes
    faults: tuple[Fault, ...]


class Accepted(msgspec.Struct, frozen=True):
    """A durable payload and its offset in the log."""

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
        fetch_params: Mapping[str, str] = _NO_FETCH_PARAMETERS,
        fix: bool = False,
    ) -> Accepted:
        """Read, check and append one payload of the feed `name`. `fetched`: a source sent it, so its content type may
        be wrong, and it may be as large as a bulk body; `fetch_params`: the parameters of the source's request. `fix`:
        the payload is one record, and a local time without an instant is refused like its other faults.

        Raises NotFoundError, InputError (RefusedError when the bytes were kept), UnavailableError, ConflictError.
        """
        tenant = principal.tenant
        feed = await self.feed(tenant, name)
        declared = _declared(incoming, feed, fetched=fetched)
        bulk = fetched or feed.shape.kind == "samples" or declared.format in OPEN_FORMATS
        raw = await self._read_body(incoming, bulk=bulk)
        received_ns = self._services.clock()
        apply_rules = bool(feed.rules) and not fetched and any(rule.action == "refuse" for rule in feed.rules)
        slow = apply_rules or formats.takes_plugin_format(feed.input.formats)  # plug-ins and rules may be slow
        prepare = partial(self._prepare, received_ns=received_ns, fetch_params=fetch_params, apply_rules=apply_rules)
        if declared.encoding is None and len(raw) < OFF_LOOP_BYTES and not slow:
            prepared = prepare(tenant, feed, raw, declared)
        else:
            prepared = await self.off_loop(partial(prepare, tenant, feed, raw, declared))
            incoming.hold(self._gate, len(prepared.body) if declared.encoding else 0)
        if fix and not prepared.faults and feed.input.on_fault == "refuse":
            prepared = self._with_time_faults(tenant, feed, prepared, received_ns)
        return await self._append(incoming, tenant, feed, prepared, received_ns)

    async def feed(self, tenant: str, name: str) -> Feed:
        """The feed in force. Raises NotFoundError, and UnavailableError for one that cannot be read: that is no fault
        of the sender, who can send the payload again."""
        feed = self._services.book.cached(tenant, name)
        if feed is not None:
            return feed
        try:
            return await in_force(self._services.book, tenant, name)
        except FeedDefinitionError as error:
            raise UnavailableError(f"The feed '{name}' cannot be read now: {error.message}", 60.0) from error

    async def off_loop(self, work: Callable[[], _T]) -> _T:
        """The result of `work` on a large body, done in one of intake's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def decoder(self, tenant: str, feed: Feed) -> Decoder:
        """The decoder of a feed version; made once and kept."""
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
        self._services.applied.log_grew(appended.seq)
        if not appended.replayed:
            self._metrics.count_payload(payload.feed, payload.kind.name.lower(), len(payload.body))
        return appended

    async def _read_body(self, incoming: Incoming, *, bulk: bool) -> bytes:
        if bulk:
            return await body.read_body(incoming, self._gate, self._settings.max_bulk_body, "max_bulk_body")
        return await body.read_body(incoming, self._gate, self._settings.max_body, "max_body")

    def _prepare(
        self,
        tenant: str,
        feed: Feed,
        raw: bytes,
        declared: DeclaredBody,
        *,
        received_ns: int,
        fetch_params: Mapping[str, str],
        apply_rules: bool,
    ) -> PreparedBody:
        if declared.encoding is not None:
            max_size, max_ratio = self._settings.max_unpacked, self._settings.max_ratio
            try:
                raw = unpack.unpack_body(raw, declared.encoding, max_size=max_size, max_ratio=max_ratio)
            except EncodingError as error:
                return PreparedBody(raw, declared.encoding, hashlib.sha256(raw).digest(), error.faults)
        if declared.charset is not None:
            message = f"The charset '{declared.charset}' is not taken; JSON is UTF-8. The bytes are kept as they came."
            fault = Fault("$header.Content-Type", "unknown_charset", message)
            return PreparedBody(raw, declared.charset, hashlib.sha256(raw).digest(), (fault,))
        settled = format_with_tags(formats.settle_format(declared.format, raw, feed.input.formats), fetch_params)
        faults: tuple[Fault, ...] = ()
        if feed.input.on_fault == "refuse":
            faults = self.decoder(tenant, feed).check_payload(raw, settled, received_ns)
        sha256 = hashlib.sha256(raw).digest()
        if apply_rules and not faults:
            payload = Payload("", tenant, feed.name, feed.version, received_ns, settled, raw, sha256)
            faults = _refusals(feed, payload, self.decoder(tenant, feed))
        return PreparedBody(raw, settled, sha256, faults)

    def _with_time_faults(self, tenant: str, feed: Feed, prepared: PreparedBody, received_ns: int) -> PreparedBody:
        """`prepared`, with a fault where the local time of its one record has no instant."""
        from tidemill.rules.refuse_times import LocalTimeCheck  # here: most feeds need no time zones of positions

        decoder = self.decoder(tenant, feed)
        local = self._local_times.get(decoder)
        if local is None:
            local = self._local_times[decoder] = LocalTimeCheck(feed)
        payload = Payload(
            "", tenant, feed.name, feed.version, received_ns, prepared.format, prepared.body, prepared.sha256
        )
        faults = local.faults(prepared.body, lambda: decoder.decode_batch([LogEntry(0, payload)]))
        return msgspec.structs.replace(prepared, faults=faults) if faults else prepared

    async def _append(
        self, incoming: Incoming, tenant: str, feed: Feed, prepared: PreparedBody, received_ns: int
    ) -> Accepted:
        payload = Payload(
            receipt=new_receipt(received_ns),
            tenant=tenant,
            feed=feed.name,
            feed_version=feed.version,
            received_ns=received_ns,
            format=prepared.format,
            body=prepared.body,
            sha256=prepared.sha256,
            kind=EntryKind.REFUSED if prepared.faults else EntryKind.DATA,
            faults=prepared.faults,
        )
        key = idempotency_key(incoming)
        if prepared.faults:  # the idempotency key stays free for the corrected payload
            appended = await self.append(payload)
            if prepared.faults[0].code == "unknown_charset":
                raise RefusedCharsetError(prepared.faults[0].message, prepared.faults, appended.receipt)
            raise RefusedError(_refusal_message(prepared, feed), prepared.faults, appended.receipt)
        return Accepted(payload, await self.append(payload, key))


def _refusals(feed: Feed, payload: Payload, decoder: Decoder) -> tuple[Fault, ...]:
    """The faults that a feed's rules of action `refuse` find in a payload. A rule that raises refuses nothing: the
    payload is kept, and the mill decides."""
    from tidemill.rules.refuse import refusals  # here: only feeds with such rules need the module

    try:
        return refusals(feed, payload, decoder.decode_batch([LogEntry(0, payload)]))
    except Exception:
        log.exception("the rules of a feed could not be asked", extra={"facts": {"feed": feed.name}})
        return ()


def _declared(incoming: Incoming, feed: Feed, *, fetched: bool) -> DeclaredBody:
    headers = incoming.headers
    encoding = unpack.content_encoding(headers.get(b"content-encoding"))
    content_type, taken = headers.get(b"content-type"), feed.input.formats
    try:
        named = formats.named_format(content_type, taken)
        plain = not fetched and named in (None, *JSON_FORMATS)
        charset = formats.foreign_charset(content_type, taken) if plain else None
        return DeclaredBody(named, encoding, charset)
    except MediaTypeError:
        if fetched:
            return DeclaredBody(None, encoding)
        raise


def idempotency_key(incoming: Incoming) -> str | None:
    """The Idempotency-Key of a request, or None. Raises InputError."""
    key = incoming.headers.get(b"idempotency-key")
    if key and len(key) > MAX_KEY:
        message = f"An Idempotency-Key has at most {MAX_KEY} characters."
        raise InputError(message, (Fault("$header.Idempotency-Key", "too_long", message),))
    return key.decode("latin-1") if key else None


def _refusal_message(prepared: PreparedBody, feed: Feed) -> str:
    faults = prepared.faults
    first = f"{faults[0].path}: {faults[0].message.removesuffix('.')}"
    more = f" ({len(faults) - 1} more in `errors`)" if len(faults) > 1 else ""
    return f"The feed '{feed.name}' refuses this payload. {first}{more}."
