"""The files of the built page: read once at the start, and found by their exact names, so that no path leads elsewhere.

`make ui` builds them into `tidemill/ui_dist`: `index.html`, and below `assets/` files whose names carry a hash of their
bytes, each with a `.br` and a `.gz` beside it. A server that was started before the page was built anew serves the
files that it has read: they belong to each other.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

import tidemill

PAGE_FOLDER: Final = Path(tidemill.__file__).parent / "ui_dist"
THEMES: Final = frozenset({"light", "dark"})
THEME_COOKIE: Final = "tidemill_theme"
LOCALE_COOKIE: Final = "tidemill_locale"
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}", re.ASCII)
_HTML_TAG: Final = re.compile(rb"<html\b[^>]*>", re.IGNORECASE)
_OURS: Final = re.compile(rb"\s+data-(?:theme|locale)(?:=(?:\"[^\"]*\"|'[^']*'|[^\s>]*))?", re.IGNORECASE)
_CODINGS: Final = {"br": ".br", "gzip": ".gz"}  # the one that makes files smaller comes first
_MEDIA_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}


class Asset(msgspec.Struct, frozen=True):
    """A file below `assets/`: its media type, and its bytes by content coding (`identity`, `br`, `gzip`)."""

    media_type: str
    codings: dict[str, bytes]

    def chosen(self, accept_encoding: str) -> tuple[str, bytes]:
        """The coding for a request with this `Accept-Encoding`, and the bytes in it; `identity` where no other is
        accepted."""
        accepted = accepted_codings(accept_encoding)
        return next(
            ((coding, self.codings[coding]) for coding in _CODINGS if coding in self.codings and coding in accepted),
            ("identity", self.codings["identity"]),
        )


class PageDocument(msgspec.Struct, frozen=True):
    """The document of the page as one browser gets it, with the ETag of these bytes."""

    body: bytes
    etag: str


class PageFiles:
    """The built page in a folder; not built where that has no `index.html`."""

    def __init__(self, folder: Path) -> None:
        index = folder / "index.html"
        self._document = index.read_bytes() if index.is_file() else None
        self._assets = _assets(folder / "assets") if self._document is not None else {}

    @property
    def is_built(self) -> bool:
        """Whether there is a page to serve."""
        return self._document is not None

    def document(self, cookies: Mapping[str, str]) -> PageDocument:
        """The document, with the theme and the locale of these cookies in its `html` tag (`data-theme`, `data-locale`;
        neither where a cookie is missing or says something else), so that the first paint has the right colours. Only
        where `is_built`."""
        assert self._document is not None
        theme, locale = cookies.get(THEME_COOKIE, ""), cookies.get(LOCALE_COOKIE, "")
        attributes = f' data-theme="{theme}"' if theme in THEMES else ""
        attributes += f' data-locale="{locale}"' if _LOCALE.fullmatch(locale) else ""

        def with_attributes(match: re.Match[bytes]) -> bytes:
            return b"<html" + attributes.encode() + _OURS.sub(b"", match[0])[len(b"<html") :]

        body = _HTML_TAG.sub(with_attributes, self._document, count=1)
        return PageDocument(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    def asset(self, name: str) -> Asset | None:
        """The file of this name below `assets/`, or None."""
        return self._assets.get(name)


def accepted_codings(header: str) -> frozenset[str]:
    """The content codings that an `Accept-Encoding` accepts (RFC 9110, 12.5.3), of those that assets have."""
    weights: dict[str, float] = {}
    for item in header.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            weights[coding] = float(weight)
        except ValueError:
            weights[coding] = 0.0
    return frozenset(coding for coding in _CODINGS if weights.get(coding, weights.get("*", 0.0)) > 0)


def _assets(folder: Path) -> dict[str, Asset]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    packed = {f"{name}{ending}" for name in files for ending in _CODINGS.values()}
    assets = {}
    for name, path in files.items():
        if name in packed:
            continue
        codings = {"identity": path.read_bytes()}
        codings |= {coding: files[name + end].read_bytes() for coding, end in _CODINGS.items() if name + end in files}
        assets[name] = Asset(_MEDIA_TYPES.get(path.suffix, "application/octet-stream"), codings)
    return assets
