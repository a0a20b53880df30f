"""Reads a source through a plug-in. A fetched page is treated like an answer over HTTP; errors become the state."""

import asyncio
import hashlib
import inspect
import time
from typing import Any

import msgspec

from tidemill import plugins
from tidemill.sources.answers import is_plugin_format, trusted_verdict
from tidemill.sources.http import Fetched, FetchFailure
from tidemill.sources.plugin import PluginPage, SourcePlugin
from tidemill.sources.source_run import SourceRun
from tidemill.sources.state import PollError

_BY = "plugin"


class PluginStep:
    """The step of a source whose `kind` names a plug-in."""

    def __init__(self, run: SourceRun) -> None:
        self._run = run
        self._plugin: SourcePlugin | None = None

    async def poll_once(self) -> bool:
        """Fetch once. Returns true if the page says that there is more, and had data or a new cursor."""
        run = self._run
        token = run.cursor.token if run.cursor.by == _BY else None
        started_ns, started = run.now_ns(), time.monotonic()
        try:
            page = await self._fetch(token)
        except PollError as error:
            failure = FetchFailure("protocol", error.detail, time.monotonic() - started)
            raise run.record_failure(started_ns, failure, error.reason) from None
        elapsed = time.monotonic() - started
        answer = await run.record_answer(started_ns, Fetched(0, page.content_type, page.body, elapsed))
        if answer.unusable and is_plugin_format(page.body, page.content_type, run.spec.expected.formats):
            # The same cursor would give the same bytes again: the ledger shows them, and the next page follows.
            answer = msgspec.structs.replace(answer, verdict=trusted_verdict(page.content_type))
        taken = bool(page.body) and not answer.empty
        if not taken:
            run.record_poll(answer, "empty")
        elif not await run.deliver(answer, self._idempotency_key(token, page.body), request_key=token or "-"):
            return False
        number = run.cursor.number + taken
        cursor = msgspec.structs.replace(run.cursor, by=_BY, token=page.cursor, number=number)
        await run.save_cursor(cursor, page.cursor or "")
        run.tracker.note_success("ok" if taken else "empty")
        return page.more and (taken or page.cursor != token)

    async def close(self) -> None:
        """Call the plug-in's `close`, if it has one, for at most a second; its errors are ignored."""
        close = getattr(self._plugin, "close", None)
        if close is not None:
            try:
                async with asyncio.timeout(1.0):
                    await close()
            except Exception:  # a plug-in may raise anything, and the source is not polled any more
                return

    def _idempotency_key(self, token: str | None, body: bytes) -> str:
        """The key of a payload: the same for the same bytes after the same cursor, also after a restart."""
        digest = hashlib.sha256(f"{token or ''}\n{self._run.spec.item}".encode() + b"\n" + body).hexdigest()
        return f"{self._run.cursor.number + 1}-{digest}"

    async def _fetch(self, token: str | None) -> PluginPage:
        """The plug-in's next page. Raises PollError for every error of the plug-in, also for an invalid page."""
        try:
            async with asyncio.timeout(self._run.limits.deadline_s) as limit:
                plugin = self._plugin = self._plugin or self._make_plugin()
                page = await plugin.fetch(token)
        except PollError:
            raise
        except TimeoutError as error:
            within = f"the plug-in did not answer within {self._run.limits.deadline_s:g} s"
            raise PollError("timeout", within if limit.expired() else f"TimeoutError: {error}") from None
        except (Exception, SystemExit) as error:
            raise PollError("plugin", f"{type(error).__name__}: {error}") from None
        if (fault := _page_fault(page)) is not None:
            raise PollError("plugin", f"fetch gave {fault}")
        if len(page.body) > self._run.limits.max_bytes:
            raise PollError("too_large", f"the body is larger than {self._run.limits.max_bytes} bytes")
        return page

    def _make_plugin(self) -> SourcePlugin:
        kind = self._run.spec.kind
        offered = plugins.load_plugins(plugins.SOURCES).get(kind)
        if offered is None:
            raise PollError("definition", f"no installed package offers a source '{kind}'")
        plugin: SourcePlugin = offered(self._run.spec.options)
        if not inspect.iscoroutinefunction(getattr(plugin, "fetch", None)):
            raise PollError("plugin", f"the plug-in '{kind}' has no `async def fetch`")
        return plugin


def _page_fault(page: Any) -> str | None:
    """The fault of a value that a plug-in's `fetch` returned, which may be anything; None for a valid page."""
    if not isinstance(page, PluginPage):
        return f"{type(page).__name__}, not a PluginPage"
    try:
        msgspec.convert(msgspec.structs.asdict(page), PluginPage, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        return f"a PluginPage that is none: {error}"
    if not (page.content_type.isascii() and page.content_type.isprintable()):
        return "a content type that is not plain text"
    return None
