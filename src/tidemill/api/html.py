"""Makes HTML pages: self-contained documents with their own style, no script and no external resource."""

from collections.abc import Sequence
from html import escape
from typing import Final

from litestar import Response

STYLE: Final = """
:root{color-scheme:light dark;--ink:#16222e;--soft:#5a6b7b;--line:#d8e0e7;--paper:#fbfcfd;--code:#eef3f7;--tide:#0b6e8f}
@media(prefers-color-scheme:dark){:root{--ink:#dfe8ef;--soft:#93a5b4;--line:#2b3a47;--paper:#10181f;--code:#18242e;
--tide:#5fc3e4}}
*{box-sizing:border-box}body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.25rem 5rem}h1{font-size:1.9rem;margin:0}h2{margin:2.6rem 0 .6rem;
border-bottom:1px solid var(--line);padding-bottom:.25rem}h3{margin:2rem 0 .3rem;font-size:1.05rem}
a{color:var(--tide)}code,pre{font:13.5px/1.5 ui-monospace,monospace;background:var(--code);border-radius:5px}
code{padding:.1em .3em}pre{padding:.8rem 1rem;overflow-x:auto}pre code{padding:0}.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;margin:.6rem 0}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;
border-bottom:1px solid var(--line)}th{font-weight:600;color:var(--soft);font-size:.85rem}
.verb{display:inline-block;min-width:4.2rem;font-weight:700;color:var(--tide);font-family:ui-monospace,monospace}
.up{color:#1b8a4b}.down{color:#c0392b}nav ul{columns:2;padding-left:1.1rem}@media(max-width:40rem){nav ul{columns:1}}
""".strip()

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def html_page(title: str, body: str) -> Response[str]:
    """A response with a whole document. `body` is HTML whose texts are escaped already (`html_text`)."""
    document = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>"
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
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def html_code(source: str) -> str:
    """A block of code; escapes it."""
    return f"<pre><code>{escape(source)}</code></pre>"
