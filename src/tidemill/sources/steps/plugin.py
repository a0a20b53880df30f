"""A source read through a plug-in: what it fetches is treated as an answer over HTTP, its errors become the state."""

import asyncio
import hashlib
import inspect
import time
from typing import Any

import msgspec

from tidemill import plugins
from tidemill.sources.http import Fetched, FetchFailure
from tidemill.sources.plugin import PluginPage, SourcePlugin
from tidemill.sources.run import SourceRun, TroubleError

_BY = "plugin"


class PluginStep:
    """The step of a source whose `kind` names a plug-in."""

    def __init__(self, work: SourceRun) -> None:
        self._work = work
        self._plugin: SourcePlugin | None = None

    async def step(self) -> bool:
        """One fetch; more to be had when it says so and brought something or moved its cursor."""
        work = self._work
        token = work.cursor.token if work.cursor.by == _BY else None
        started_ns, started = work.now_ns(), time.monotonic()
        try:
            page = await self._fetch(token)
        except TroubleError as trouble:
            failure = FetchFailure("protocol", trouble.detail, time.monotonic() - started)
            raise work.failed(started_ns, failure, trouble.reason) from None
        elapsed = time.monotonic() - started
        answer = await work.came(started_ns, Fetched(0, page.content_type, page.body, elapsed))
        taken = bool(page.body) and not answer.empty
        if not taken:
            work.row(answer, "empty")
        elif not await work.deliver(answer, self._key(token, page.body), place=token or "-"):
            return False
        number = work.cursor.number + taken
        cursor = msgspec.structs.replace(work.cursor, by=_BY, token=page.cursor, number=number)
        await work.remember(cursor, page.cursor or "")
        work.tracker.good("ok" if taken else "empty")
        return page.more and (taken or page.cursor != token)

    async def close(self) -> None:
        """Let the plug-in go."""
        close = getattr(self._plugin, "close", None)
        if close is not None:
            try:
                async with asyncio.timeout(1.0):
                    await close()
            except Exception:  # it is theirs, and the source is polled no more
                return

    def _key(self, token: str | None, body: bytes) -> str:
        """The same bytes after the same cursor are the same payload, also after a restart."""
        digest = hashlib.sha256(f"{token or ''}\n{self._work.pull.item}".encode() + b"\n" + body).hexdigest()
        return f"{self._work.cursor.number + 1}-{digest}"

    async def _fetch(self, token: str | None) -> PluginPage:
        """Raises TroubleError for whatever goes wrong in the plug-in."""
        try:
            async with asyncio.timeout(self._work.limits.deadline_s) as limit:
                plugin = self._plugin = self._plugin or self._made()
                page = await plugin.fetch(token)
        except TroubleError:
            raise
        except TimeoutError as error:
            within = f"the plug-in did not answer within {self._work.limits.deadline_s:g} s"
            raise TroubleError("timeout", within if limit.expired() else f"TimeoutError: {error}") from None
        except (Exception, SystemExit) as error:
            raise TroubleError("plugin", f"{type(error).__name__}: {error}") from None
        if (fault := _fault(page)) is not None:
            raise TroubleError("plugin", f"fetch gave {fault}")
        if len(page.body) > self._work.limits.max_bytes:
            raise TroubleError("too_large", f"the body is larger than {self._work.limits.max_bytes} bytes")
        return page

    def _made(self) -> SourcePlugin:
        kind = self._work.pull.kind
        offered = plugins.load_plugins(plugins.SOURCES).get(kind)
        if offered is None:
            raise TroubleError("definition", f"no installed package offers a source '{kind}'")
        made = offered(self._work.pull.options)
        if not inspect.iscoroutinefunction(getattr(made, "fetch", None)):
            raise TroubleError("plugin", f"the plug-in '{kind}' has no `async def fetch`")
        plugin: SourcePlugin = made
        return plugin


def _fault(page: Any) -> str | None:
    """What is wrong with what a fetch returned: it is theirs, and nobody has checked it."""
    if not isinstance(page, PluginPage):
        return f"{type(page).__name__}, not a PluginPage"
    try:
        msgspec.convert(msgspec.structs.asdict(page), PluginPage, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        return f"a PluginPage that is none: {error}"
    if not (page.content_type.isascii() and page.content_type.isprintable()):
        return "a content type that is not plain text"
    return None
