"""Takes secrets out of texts: whatever a server, a library or a plug-in says, what is kept and shown is without them.

Also found: the percent-encoded spellings, and a secret of which only the beginning is there because a message was cut.
"""

from typing import Final
from urllib.parse import quote, quote_plus, unquote

import msgspec

MASK: Final = "***"
_SHORTEST: Final = 3  # shorter ones would take letters out of every sentence, and are no secrets
_TELLING: Final = 8  # so many first characters of a secret count as it


class Redaction(msgspec.Struct, frozen=True):
    """The secrets of one source."""

    secrets: tuple[str, ...] = ()

    def hide(self, text: str) -> str:
        """The text with `***` in place of every secret."""
        if not text or not self.secrets:
            return text
        spellings = self._spellings()
        for spelling in spellings:
            text = text.replace(spelling, MASK)
        for spelling in spellings:
            text = _without_cut(text, spelling)
        return text

    def pack(self, text: str) -> str:
        """The text with `${n}` in place of the n-th secret, so that it can be written down; `unpack` undoes it."""
        for place, secret in enumerate(self.secrets):
            for spelling in _spelt(secret):
                text = text.replace(spelling, f"${{{place}}}")
        return text

    def unpack(self, text: str) -> str:
        """What `pack` was given, the secrets percent-encoded."""
        for place, secret in enumerate(self.secrets):
            text = text.replace(f"${{{place}}}", quote(secret, safe=""))
        return text

    def _spellings(self) -> list[str]:
        return sorted({one for secret in self.secrets for one in _spelt(secret)}, key=len, reverse=True)


def _spelt(secret: str) -> list[str]:
    spellings = {secret, unquote(secret), quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}
    return sorted((one for one in spellings if len(one) >= _SHORTEST), key=len, reverse=True)


def _without_cut(text: str, secret: str) -> str:
    """Without what is left of a secret where a message was cut."""
    beginning = secret[:_TELLING]
    place = text.find(beginning)
    while place >= 0:
        end = place + len(beginning)
        while end < len(text) and end - place < len(secret) and text[end] == secret[end - place]:
            end += 1
        text = text[:place] + MASK + text[end:]
        place = text.find(beginning, place + len(MASK))
    return text
