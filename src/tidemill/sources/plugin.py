"""The contract of a source plug-in: a class that an installed package names in the entry-point group
`tidemill.sources`.

A feed chooses it with `[source] kind = "its-name"` and `options = {...}`. `examples/` has one.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


class PluginPage(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a fetch. `body` empty: the source has no data. `content_type` empty: one of the feed's formats.

    `cursor` is given to the next fetch (None: as for the first fetch); it is saved once the body is durable, so a fetch
    that is repeated after a crash is given the same cursor again. `more`: more data can be fetched at once, else the
    next fetch is when the source is due.
    """

    body: bytes
    content_type: str = ""
    cursor: str | None = None
    more: bool = False


class SourcePlugin(Protocol):
    """Fetches payloads of a source. One instance serves one source, and is made at the first poll of the source.

    It shares its thread with all other sources: blocking code belongs into `asyncio.to_thread`. A fetch may be repeated
    with the same cursor, so it must not change anything at the source that would then be lost. If the plug-in has
    `async def close()`, that is called when the source is not polled any more.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are the feed's, with secrets filled in. An error that is raised becomes the source's state."""
        ...

    async def fetch(self, cursor: str | None) -> PluginPage:
        """The next payload after `cursor`. Never called concurrently. It is cancelled at the feed's deadline (three
        times its `timeout`); an error that is raised becomes the source's state, and the same fetch is repeated after a
        back-off."""
        ...
