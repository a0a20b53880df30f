"""Routes of the guide: the documentation as a site, at `/docs/guide`. `make guide` builds it (`scripts/guide.py`).

Only files that the build made are served, found by their exact names. The policy of a page allows the scripts that the
theme wrote into this very page, each by its hash, and files of this server; nothing from elsewhere, and no frame.
"""

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

import tidemill
from tidemill.api import html
from tidemill.api.page import HIDDEN
from tidemill.errors import NotFoundError

GUIDE_FOLDER: Final = Path(tidemill.__file__).parent / "guide_dist"
GUIDE_PATH: Final = "/docs/guide"
NOT_BUILT: Final = (
    "The guide is not built here: `make guide` builds it; then start the server again. Its pages are in docs/."
)
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
    """The files of a built guide, by their paths in it; none where there is no guide. Read when they are first asked."""

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
        f"default-src 'none'; script-src 'self' {' '.join(sorted(hashes))}; style-src 'self' 'unsafe-inline'; img-src 'self' "
        "data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


@get([GUIDE_PATH, f"{GUIDE_PATH}/{{name:path}}"], **HIDDEN)
async def show_guide(
    request: Request[Any, Any, Any], guide: NamedDependency[GuideFiles], name: FromPath[str] = ""
) -> Response[Any]:
    """A file of the guide; the folder itself leads to its index."""
    if not guide.is_built:
        return html.html_page("Tidemill: guide", f"<h1>Guide</h1><p>{html.html_text(NOT_BUILT)}</p>")
    wanted = str(name).removeprefix("/")
    if not wanted:  # links of a page are relative to it
        return Response(b"", status_code=307, headers={"Location": f"{GUIDE_PATH}/index.html"}, media_type="text/plain")
    file = guide.file(wanted)
    if file is None:
        raise NotFoundError(f"The guide has no page {wanted[:200]}. {GUIDE_PATH} lists what there is.")
    content, headers, kind = file
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=kind)
    return Response(content, headers=headers, media_type=kind)


GUIDE_ROUTES: Final = [show_guide]
