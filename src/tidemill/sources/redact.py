"""Takes secrets out of texts of servers, libraries and plug-ins before the texts are stored or shown.

Percent-encoded spellings are recognised, and so is the beginning of a secret where a message was cut.
"""

from typing import Final
from urllib.parse import quote, quote_plus, unquote

import msgspec

MASK: Final = "***"
_SHORTEST: Final = 3  # shorter texts would be taken out of every sentence, and are no secrets
_PREFIX_LENGTH: Final = 8  # a text that begins with so many characters of a secret counts as the secret


class Redaction(msgspec.Struct, frozen=True):
    """Hides the secrets of one source."""

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

    def replace_secrets(self, text: str) -> str:
        """The text with `${n}` in place of the n-th secret, so that it can be stored; see `restore_secrets`."""
        for index, secret in enumerate(self.secrets):
            for spelling in _spellings_of(secret):
                text = text.replace(spelling, f"${{{index}}}")
        return text

    def restore_secrets(self, text: str) -> str:
        """The text that `replace_secrets` was given, with the secrets percent-encoded."""
        for index, secret in enumerate(self.secrets):
            text = text.replace(f"${{{index}}}", quote(secret, safe=""))
        return text

    def _spellings(self) -> list[str]:
        spellings = {spelling for secret in self.secrets for spelling in _spellings_of(secret)}
        return sorted(spellings, key=len, reverse=True)


def _spellings_of(secret: str) -> list[str]:
    spellings = {secret, unquote(secret), quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}
    return sorted((spelling for spelling in spellings if len(spelling) >= _SHORTEST), key=len, reverse=True)


def _without_cut(text: str, secret: str) -> str:
    """The text with `***` in place of each beginning of the secret, of at least `_PREFIX_LENGTH` characters."""
    beginning = secret[:_PREFIX_LENGTH]
    start = text.find(beginning)
    while start >= 0:
        end = start + len(beginning)
        while end < len(text) and end - start < len(secret) and text[end] == secret[end - start]:
            end += 1
        text = text[:start] + MASK + text[end:]
        start = text.find(beginning, start + len(MASK))
    return text
