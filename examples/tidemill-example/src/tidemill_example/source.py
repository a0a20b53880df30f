"""A source that reads the files of a folder, each once, in the order of their names."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.sources.plugin import PluginPage


class Folder:
    """The source `folder`; its option `path` is the folder. Put files there whole, by renaming them, under names that
    sort as they come (`2026-01-01T00-00.txt`); names that begin with a dot are passed over. The cursor is the name of
    the last one that was taken."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._folder = Path(options["path"])

    async def fetch(self, cursor: str | None) -> PluginPage:
        """The next file after the cursor; nothing when there is none yet."""
        return await asyncio.to_thread(self._next, cursor)

    def _next(self, cursor: str | None) -> PluginPage:
        names = sorted(file.name for file in self._folder.iterdir() if file.is_file() and file.name[0] != ".")
        later = [name for name in names if cursor is None or name > cursor]
        if not later:
            return PluginPage(body=b"", cursor=cursor)
        body = (self._folder / later[0]).read_bytes()
        return PluginPage(body=body, cursor=later[0], more=len(later) > 1)
