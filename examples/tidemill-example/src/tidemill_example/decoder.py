"""Lines such as `at="2026-01-01T00:00:00Z";site="north";level=3.5`: texts stand in double quotes, numbers do not."""

import re
from collections.abc import Sequence
from typing import Any

_PAIR = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)=(?:"([^"]*)"|([^";\s]+))\s*(?:;|$)')


class KeyValue:
    """The decoder of the format `key-value`. Tidemill makes one of it and asks it from several threads."""

    media_types = ("text/x-key-value",)

    def records(self, body: bytes) -> Sequence[dict[str, Any]]:
        """A record for each line that is not blank. What a member must be is the feed's to say; only what is not of
        the format is refused here, by ValueError with a sentence for the sender."""
        lines = body.decode("utf-8").splitlines()
        return [_record(line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _record(line: str, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    place = 0
    while place < len(line):
        pair = _PAIR.match(line, place)
        if pair is None:
            raise ValueError(f"line {number}, column {place + 1}: here should be key=value; or the end of the line")
        key, text, bare = pair.groups()
        if key in found:
            raise ValueError(f"line {number}: '{key}' is there twice")
        found[key] = _number(bare, number) if text is None else text
        place = pair.end()
    return found


def _number(text: str, number: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"line {number}: '{text[:40]}' is no number; texts stand in double quotes") from None
