"""Makes the HTML pages of the server itself: documents whose style and script are files of this server, nothing inline
and nothing from elsewhere."""

from collections.abc import Sequence
from html import escape
from typing import Final

from litestar import Response

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STYLE_PATH: Final = "/docs/docs.css"
SCRIPT_PATH: Final = "/docs/docs.js"


def html_page(title: str, body: str, *, kind: str = "plain", theme: str = "") -> Response[str]:
    """A response with a whole document. `body` is HTML whose texts are escaped already (`html_text`). `kind`: `plain`,
    one column, or `docs`, which has a navigation, its own `main`, and a script. `theme`: `light` or `dark`; by default
    that of the browser's system."""
    chosen = f' data-theme="{theme}"' if theme in ("light", "dark") else ""
    script = f'<script type=module src="{SCRIPT_PATH}"></script>' if kind == "docs" else ""
    inner = body if kind == "docs" else f"<main class=plain id=content>{body}</main>"
    document = (
        f'<!doctype html><html lang="en"{chosen}><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel=icon href="data:,">'
        f'<link rel=stylesheet href="{STYLE_PATH}">{script}</head><body class={kind}>'
        f'<a class=skip href="#content">Skip to the content</a>{inner}</body></html>'
    )
    return Response(document, media_type="text/html", headers=_HEADERS)


def html_text(value: object) -> str:
    """A value as escaped HTML text; what stands between back-ticks becomes code."""
    parts = escape(str(value)).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))


def html_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table; cells are HTML already. Empty where there are no rows."""
    if not rows:
        return ""
    top = "".join(f"<th scope=col>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def html_code(source: str) -> str:
    """A block of code; escapes it."""
    return f"<pre tabindex=0><code>{escape(source)}</code></pre>"
