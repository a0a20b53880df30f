"""Parses paths into a record: `$`, `$.name`, `$.name.other`; no other form is allowed."""

import re
from typing import Final

_PATH: Final = re.compile(r"\$(?:\.[^.\[\]\"'\\\x00-\x20\x7f]+)*")


def parse_path(text: str) -> tuple[str, ...]:
    """`$.a.b` -> ("a", "b"); `$` -> (). Raises ValueError with a sentence for anything else."""
    if _PATH.fullmatch(text) is None:
        raise ValueError(f"'{text[:60]}' is not a path such as $.name or $.name.other")
    return tuple(text.split(".")[1:])
