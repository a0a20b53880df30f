"""Fills the placeholders of a URL: `{start}`, `{cursor}`, `{meter}`, also where they were percent-encoded."""

from collections.abc import Mapping
from urllib.parse import quote


def fill(url: str, values: Mapping[str, str]) -> str:
    """The URL with each `{name}` replaced by its value, percent-encoded."""
    for name, text in values.items():
        for word in (f"{{{name}}}", f"%7B{name}%7D"):
            url = url.replace(word, quote(text, safe=":"))
    return url
