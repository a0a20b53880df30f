"""What a source plug-in is: a class that an installed package names in the entry-point group `tidemill.sources`.

A feed chooses it with `[source] kind = "its-name"` and `options = {...}`. `examples/` has one.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


class PluginPage(msgspec.Struct, frozen=True, kw_only=True):
    """What one fetch brought. `body` empty: the source has nothing. `content_type` empty: one of the feed's formats.

    `cursor` is given to the next fetch (None: as if there had been none yet); it is remembered once the body is
    durable, so a fetch that is repeated after a crash is given the same cursor again. `more`: there is more to be had
    at once, else the next fetch is when the source is due.
    """

    body: bytes
    content_type: str = ""
    cursor: str | None = None
    more: bool = False


class SourcePlugin(Protocol):
    """Fetches payloads in its own way. One instance serves one source, and is made when that is first polled.

    It shares its thread with all other sources: whatever blocks belongs into `asyncio.to_thread`. It must not change
    anything at the source that a repeated fetch with the same cursor could not bear. If it has `async def close()`,
    that is called when the source is polled no more.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` as the feed has them, secrets filled in. Whatever is raised becomes the source's state."""
        ...

    async def fetch(self, cursor: str | None) -> PluginPage:
        """The next payload after `cursor`. Never called twice at once. It is cancelled at the feed's deadline (three
        times its `timeout`); whatever is raised becomes the source's state, and the same fetch comes again after a
        back-off."""
        ...
