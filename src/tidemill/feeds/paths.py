"""Parses and writes paths: where a member is in a record, around it, or in a document.

`$` the value itself, `$.name.other` members, `$['a.b']` a key with any signs, `$[1]` an item of an array, `$^.x` a
member of what holds the records (`$^^.x` one higher), `$~` the key of the record in a keyed object (`$^~` that of the
group above). The path of records may also have `[*]` (each item of an array) and `.*` (each member of an object).
A path is a tuple of steps; docs/reference/paths.md shows each form.
"""

import re
from enum import Enum
from functools import lru_cache
from typing import Any, Final


class PathSign(Enum):
    """A step that is neither a key nor an index."""

    UP = "^"
    KEY = "~"
    ITEMS = "[*]"
    MEMBERS = ".*"


PathStep = str | int | PathSign
Path = tuple[PathStep, ...]

UP: Final = PathSign.UP
KEY: Final = PathSign.KEY
ITEMS: Final = PathSign.ITEMS
MEMBERS: Final = PathSign.MEMBERS
WILDCARDS: Final = (ITEMS, MEMBERS)

MAX_ITEM: Final = 255  # the last item of an array that a path may name
MAX_STEPS: Final = 128  # no document nests deeper
KEY_NAME: Final = "~"  # the key of a record among its members, as a name
ABSENT: Final = object()

# A name in a path of an earlier version could have any of these signs; new definitions quote them (`plain_faults`).
_NAME: Final = r"""[^.\[\]"'\\\x00-\x20\x7f]+"""
_STEP: Final = re.compile(
    rf"""\.(?P<each>\*)(?![^.\[])|\.(?P<name>{_NAME})|\[(?P<item>\d{{1,9}})\]|\[(?P<items>\*)\]"""
    r"""|\['(?P<single>(?:[^'\\]|\\[\\'"])*)'\]|\["(?P<double>(?:[^"\\]|\\[\\'"])*)"\]"""
)
_UNREADABLE: Final = re.compile(r"""[\x00-\x1f"\\]""")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_PLAIN: Final = re.compile(r"(?![0-9]+\Z)[\w-]+")
_SHOWN_PLAIN: Final = re.compile(r"(?![0-9]+\Z)(?:\w+|[^\W\d][\w-]*)")  # 2024-01-01 is easier to see in quotes
_FORMS: Final = "$.name, $.name.other, $['any.key'], $[1], $^.name or $~"


def parse_path(text: str) -> Path:
    """The steps of a path: `$.a.b` -> ("a", "b"); `$` -> (); `$^.a` -> (UP, "a"). Raises ValueError with a sentence."""
    if not text.startswith("$"):
        raise ValueError(f"'{text[:60]}' is not a path; it begins with $, such as {_FORMS}")
    end = len(text)
    at = 1
    while at < end and text[at] == "^":
        at += 1
    steps: list[PathStep] = [UP] * (at - 1)
    if text[at:] == "~":
        return (*steps, KEY)
    while at < end:
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f"'{text[:60]}' is not a path such as {_FORMS}: see '{text[at : at + 20]}'")
        steps.append(_step(match))
        at = match.end()
    if UP in steps and len(steps) == steps.count(UP):
        raise ValueError(f"'{text[:60]}' names all of what is above; name a member of it, such as {text[:20]}.name")
    if len(steps) > MAX_STEPS:
        raise ValueError(f"a path has at most {MAX_STEPS} steps, as no document nests deeper")
    return tuple(steps)


def document_steps(text: str) -> tuple[str | int, ...] | None:
    """The keys and items of a path in a document, as faults name it: `$[300].a` -> (300, "a"). None for a text with any
    other step, or that is no path. Items of any number are taken, other than in paths of a definition."""
    if not text.startswith("$"):
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or match.lastgroup in ("each", "items"):
            return None
        kind = str(match.lastgroup)
        if kind == "item":
            steps.append(int(match[kind]))
        else:
            steps.append(match[kind] if kind == "name" else _ESCAPE.sub(r"\1", match[kind]))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> PathStep:
    kind = str(match.lastgroup)
    text = match[kind]
    if kind == "item":
        if int(text) > MAX_ITEM:
            raise ValueError(f"[{text}] is too far: a path names one of the first {MAX_ITEM + 1} items of an array")
        return int(text)
    if kind in ("each", "items"):
        return MEMBERS if kind == "each" else ITEMS
    key = text if kind == "name" else _ESCAPE.sub(r"\1", text)
    if not is_readable_key(key):
        raise ValueError(f"{text[:60]!r}: a path names no key with a double quote, a backslash or a control character")
    return key


def is_readable_key(key: str) -> bool:
    """Whether a path can name a key. msgspec, which decodes records, knows no names with the signs of _UNREADABLE."""
    return _UNREADABLE.search(key) is None


def unquoted_fault(text: str) -> str | None:
    """Why a path that can be parsed should be written otherwise, or None: a key with other signs than letters, digits,
    `_` and `-`, or of digits alone, is quoted. Stored definitions may have such paths, and are read as before."""
    at = len(text) - len(text[1:].lstrip("^"))
    while (match := _STEP.match(text, at)) is not None:
        name = match["name"]
        if name is not None and _PLAIN.fullmatch(name) is None:
            if name.isdigit():
                return f"'.{name}' is a key or an item: write [{name}] for the item of an array, ['{name}'] for a key"
            return (
                f"'{name[:40]}' has other signs than letters, digits, _ and -: quote the whole key, "
                f"such as {path_text((text[at + 1 :][:60],))}"
            )
        at = match.end()
    return None


def member_path(path: str, key: str) -> str:
    """The text of a path with one more key: `$.a` and `b.c` -> `$.a['b.c']`."""
    if _SHOWN_PLAIN.fullmatch(key) is not None:
        return f"{path}.{key}"
    if key == KEY_NAME:
        return f"{path}~"
    written = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"{path}['{written}']"


@lru_cache(maxsize=4096)
def step_text(step: str | int) -> str:
    """The text of a key or an item in a path: `.name`, `['a.b']`, `[1]`. For the steps of feeds, which are few."""
    return f"[{step}]" if isinstance(step, int) else member_path("", step)


def path_text(path: Path) -> str:
    """The text of a path; the opposite of `parse_path`."""
    text = "$"
    for step in path:
        if isinstance(step, str):
            text = member_path(text, step)
        else:
            text += f"[{step}]" if isinstance(step, int) else step.value
    return text


def levels_up(path: Path) -> int:
    """How many `^` a path begins with."""
    return path.count(UP)


def below(path: Path) -> Path:
    """The steps behind the `^` of a path."""
    return path[path.count(UP) :]


def in_record(path: Path) -> bool:
    """Whether a path stays in the record itself."""
    return UP not in path and KEY not in path


def value_at_path(value: Any, path: Path) -> Any:
    """The part of a decoded value at a path of keys and indexes; ABSENT where there is none."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else ABSENT
        else:
            value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
    return value
