"""The files of the built guide, found by their exact names, and the policy of each page.

The policy allows the scripts that the theme wrote into this very page, each by its hash, and files of this server.
"""

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import tidemill

GUIDE_FOLDER: Final = Path(tidemill.__file__).parent / "guide_dist"
_INLINE: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".map": "application/json",
    ".toml": "text/plain",
    ".yaml": "text/plain",
    ".cfg": "text/plain",
    ".md": "text/plain",
    ".py": "text/plain",
}


class GuideFiles:
    """The files of a built guide, by their paths in it; none where there is no guide. A file is read when it is first
    asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        self._names = {path.relative_to(folder).as_posix() for path in files}

    @property
    def is_built(self) -> bool:
        """Whether there is a guide to show."""
        return "index.html" in self._names

    @lru_cache(maxsize=256)  # noqa: B019 (one object a process)
    def file(self, name: str) -> tuple[bytes, dict[str, str], str] | None:
        """The bytes, headers and media type of a file; null where the guide has none of this name."""
        if name not in self._names:
            return None
        content = (self._folder / name).read_bytes()
        kind = _MEDIA_TYPES.get(Path(name).suffix, "application/octet-stream")
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "no-cache"}
        if kind == "text/html":
            headers |= {"Content-Security-Policy": guide_policy(content), "Referrer-Policy": "no-referrer"}
        return content, headers, kind


def guide_policy(page: bytes) -> str:
    """The policy of a page of the guide: its own inline scripts by their sha256, and files of this server."""
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in _INLINE.findall(page)
    }
    return (
        f"default-src 'none'; script-src 'self' {' '.join(sorted(hashes))}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
