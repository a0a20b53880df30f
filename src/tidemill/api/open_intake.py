"""Takes payloads of open feeds, whose records bring their names, tags and fields. The definition of such a feed is made
at its first payload, and durable before the payload is.

A payload is kept if any part of it can be read: the mill rejects the records at fault, with their reasons. One that
cannot be read at all (a cut-off Parquet file) is kept as REFUSED. One that would make too many series is not kept.
"""

import asyncio
import hashlib
from functools import partial
from typing import Final

import msgspec

from tidemill.api import body, formats, unpack
from tidemill.api.body import Gate, Incoming
from tidemill.api.intake import OFF_LOOP_BYTES, Accepted, Intake, idempotency_key
from tidemill.api.metrics import Metrics
from tidemill.api.problems import RefusedError
from tidemill.api.series_limit import SeriesLimit
from tidemill.api.services import Services, in_force
from tidemill.api.unpack import EncodingError
from tidemill.catalog.keys import Principal
from tidemill.decode.open.decoder import OpenCheck
from tidemill.decode.open.options import OpenOptions, settled_precision
from tidemill.errors import ConflictError, Fault, FeedRemovedError, InputError, LimitError, NotFoundError, TidemillError
from tidemill.feeds.definition import Feed
from tidemill.feeds.open_feed import open_feed_text
from tidemill.feeds.validate import is_feed_name
from tidemill.model.ids import new_receipt
from tidemill.model.payload import EntryKind, Payload, format_with_tags

MAX_OPEN_FEEDS: Final = 1000  # feeds of a tenant, beyond which no payload makes another


class OpenAccepted(msgspec.Struct, frozen=True):
    """A durable payload of an open feed, its bytes, and what was learnt of its records."""

    accepted: Accepted
    check: OpenCheck


class OpenIntake:
    """Takes payloads of open feeds. One per process; lives in one event loop."""

    def __init__(self, services: Services, intake: Intake, gate: Gate, metrics: Metrics) -> None:
        self._services, self._settings = services, services.settings
        self._intake, self._gate = intake, gate
        self._limit = metrics.series_limit = SeriesLimit(services.store, services.settings.max_series)
        self._making = asyncio.Lock()

    async def accept(
        self,
        incoming: Incoming,
        principal: Principal,
        name: str,
        format: str | None,
        options: OpenOptions,
        *,
        whole: bool = False,
        coding: str | None = None,
    ) -> OpenAccepted:
        """Read, check and append one payload of the open feed `name`. `format`: null where the headers or the body say
        it. `whole`: a payload with any record at fault is refused. `coding`: how the body is packed (null: as its
        headers say).

        Raises InputError (RefusedError when the bytes were kept), LimitError, ConflictError, UnavailableError.
        """
        encoding = coding or unpack.content_encoding(incoming.headers.get(b"content-encoding"))
        if format is None:
            format = formats.named_open_format(incoming.headers.get(b"content-type"))
        feed = await self._feed(principal.tenant, name)
        raw = await body.read_body(incoming, self._gate, self._settings.max_bulk_body, "max_bulk_body")
        received_ns = self._services.clock()
        work = partial(self._check, principal.tenant, feed, raw, encoding, format, options)
        await self._limit.prepare(principal.tenant)
        if encoding is None and len(raw) < OFF_LOOP_BYTES:
            payload, check = work(received_ns)
        else:
            payload, check = await self._intake.off_loop(partial(work, received_ns))
            incoming.hold(self._gate, len(payload.body) if encoding else 0)
        faults = check.refused or (tuple(fault for _, fault in check.faults) if whole else ())
        if faults:
            payload = msgspec.structs.replace(payload, kind=EntryKind.REFUSED, faults=faults)
            appended = await self._intake.append(payload)
            message = f"{faults[0].path}: {faults[0].message}"
            raise RefusedError(f"The feed '{name}' refuses this payload. {message}.", faults, appended.receipt)
        appended = await self._intake.append(payload, idempotency_key(incoming))
        return OpenAccepted(Accepted(payload, appended), check)

    def _check(  # noqa: PLR0917 - bound by `partial`, the time of receipt last
        self,
        tenant: str,
        feed: Feed,
        raw: bytes,
        encoding: str | None,
        format: str | None,
        options: OpenOptions,
        received_ns: int,
    ) -> tuple[Payload, OpenCheck]:
        check, stored = OpenCheck(0, 0, (), (), {}), encoding or ""
        try:
            limits = {"max_size": self._settings.max_unpacked, "max_ratio": self._settings.max_ratio}
            if encoding == "snappy":
                raw = unpack.unpack_snappy(raw, **limits)
            elif encoding is not None:
                raw = unpack.unpack_body(raw, encoding, **limits)
            chosen = format or formats.open_format_of(raw)
            unit = settled_precision(options.precision, raw)
            stored = format_with_tags(chosen, msgspec.structs.replace(options, precision=unit).variables())
            check = self._intake.decoder(tenant, feed).check_open(raw, stored)
            self._limit.admit(tenant, feed.name, check.series)
        except EncodingError as error:
            check = msgspec.structs.replace(check, refused=error.faults)
        except TidemillError:
            raise
        except Exception as error:
            message = f"it cannot be read ({type(error).__name__}): {str(error)[:200]}"
            check = msgspec.structs.replace(check, refused=(Fault("$", "undecodable", message),))
        payload = Payload(
            receipt=new_receipt(received_ns),
            tenant=tenant,
            feed=feed.name,
            feed_version=feed.version,
            received_ns=received_ns,
            format=stored,
            body=raw,
            sha256=hashlib.sha256(raw).digest(),
        )
        return payload, check

    async def _feed(self, tenant: str, name: str) -> Feed:
        """The open feed, made if there is none of that name. Raises InputError for a name that no feed can have,
        ConflictError for a feed that is no open feed, FeedRemovedError for one that was removed."""
        try:
            feed = await in_force(self._services.book, tenant, name)
        except FeedRemovedError:
            raise
        except NotFoundError:
            feed = await self._made(tenant, name)
        if not feed.input.open:
            raise ConflictError(
                f"The feed '{name}' is no open feed: its definition says what its records are. Send it with POST "
                f"/v1/feeds/{name}, or name another feed here."
            )
        return feed

    async def _made(self, tenant: str, name: str) -> Feed:
        if not is_feed_name(name):
            message = (
                f"'{name[:80]}' can be no feed, which has a name of a-z, 0-9, _ and -, beginning with a letter, at "
                "most 64 characters. Name another feed, bucket or database"
            )
            raise InputError(f"{message}.", (Fault("$query.feed", "bad_name", message),))
        async with self._making:
            if len(await asyncio.to_thread(self._services.texts.list, tenant)) >= MAX_OPEN_FEEDS:
                message = f"There are {MAX_OPEN_FEEDS} feeds already, and this would make another."
                raise LimitError("max_open_feeds", MAX_OPEN_FEEDS, message)
            await asyncio.to_thread(self._services.texts.apply, tenant, name, open_feed_text(name))
            self._services.book.refresh()
        return await in_force(self._services.book, tenant, name)
