"""Routes of the page: its one document at exactly the paths that the page knows, and its assets.

The document carries the policy that bounds what a page may do: only scripts and styles of this server, no inline ones,
no frame around it. Every other path keeps its meaning, 404 included. `page_files.py` reads what `make ui` builds.
"""

from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.page_files import PageFiles
from tidemill.errors import NotFoundError

HIDDEN: Final[dict[str, Any]] = {"opt": {"scope": None}, "include_in_schema": False}
PAGE_PATHS: Final = [
    "/explore",
    "/analyse/{series:str}",
    "/ledger",
    "/why",
    "/receipts/{receipt:str}",
    "/feeds",
    "/feeds/{feed:str}",
    "/sources",
    "/admin",
    "/sign-in",
]
NOT_BUILT: Final = "The page is not built on this server: `make ui` builds it. / shows the state of the server."
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src "
    "'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types svelte-trusted-html"
)
_NO_FEATURES: Final = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "geolocation", "gyroscope",
        "magnetometer", "microphone", "midi", "payment", "picture-in-picture", "publickey-credentials-get",
        "screen-wake-lock", "usb", "xr-spatial-tracking",
    )
)  # fmt: skip
DOCUMENT_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": _NO_FEATURES,
    "Cache-Control": "no-cache",
    "Vary": "Accept, Cookie",
}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


def wants_document(request: Request[Any, Any, Any]) -> bool:
    """Whether a request asks for HTML by name, as browsers do; curl and other programs accept anything."""
    kinds = (item.partition(";")[0].strip().lower() for item in request.headers.get("accept", "").split(","))
    return any(kind in ("text/html", "application/xhtml+xml") for kind in kinds)


def page_document(page: PageFiles, request: Request[Any, Any, Any]) -> Response[bytes]:
    """The document of the page for a browser; 304 where the browser has it. Raises NotFoundError where the page is not
    built."""
    if not page.is_built:
        raise NotFoundError(NOT_BUILT)
    document = page.document(request.cookies)
    headers = DOCUMENT_HEADERS | {"ETag": document.etag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if document.etag in known or known == ["*"]:
        return Response(b"", status_code=304, headers=headers, media_type="text/html")
    return Response(document.body, headers=headers, media_type="text/html")


@get(PAGE_PATHS, **HIDDEN)
async def show_page(page: NamedDependency[PageFiles], request: Request[Any, Any, Any]) -> Response[bytes]:
    """The document of the page, which reads the rest of the path itself."""
    return page_document(page, request)


@get("/assets/{name:path}", **HIDDEN)
async def show_asset(
    name: FromPath[str], page: NamedDependency[PageFiles], request: Request[Any, Any, Any]
) -> Response[bytes]:
    """A file of the page. Its name carries a hash of its bytes, so a browser keeps it for good."""
    asset = page.asset(str(name).removeprefix("/"))
    if asset is None:
        raise NotFoundError(f"The page has no file {request.url.path[:200]}.")
    coding, content = asset.chosen(request.headers.get("accept-encoding", ""))
    headers = {"Cache-Control": _FOR_GOOD, "Vary": "Accept-Encoding"}
    headers |= {} if coding == "identity" else {"Content-Encoding": coding}
    return Response(content, headers=headers, media_type=asset.media_type)


PAGE_FILE_ROUTES: Final = [show_page, show_asset]
