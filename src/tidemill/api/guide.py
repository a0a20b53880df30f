"""Routes of the guide: the documentation as a site, at `/docs/guide`. `make guide` builds it (`scripts/guide.py`)."""

from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api import html
from tidemill.api.guide_files import GuideFiles
from tidemill.api.page import HIDDEN
from tidemill.errors import NotFoundError

GUIDE_PATH: Final = "/docs/guide"
NOT_BUILT: Final = "The guide is not built here: `make guide` builds it; then start the server again."


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
