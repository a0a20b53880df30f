"""What differs between two versions of a feed, as a list of changes with their paths: what a person wants to know of a
new version. Of the definition, not of the text: comments and layout, and a default that is written out, change nothing.

Variables of [source] are compared as they are written (`${NAME}`): no secret is in what this file makes.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from tidemill.feeds.convert import DefinitionFault, convert
from tidemill.feeds.definition import Feed
from tidemill.feeds.key_lines import Key
from tidemill.feeds.rule_pairs import moved, pairs

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class DefinitionChange(msgspec.Struct, frozen=True):
    """One difference. `path`: `rules[2].options.max_age`; of a rule that was removed its old place, else its new one.

    `old` and `new` are null where there was or is nothing; of a rule that moved, its places. `hidden`: the values are
    not for this reader."""

    path: str
    change: Literal["added", "removed", "changed", "moved"]
    old: Any = None
    new: Any = None
    hidden: bool = False


def definition(text: str) -> dict[str, Any]:
    """A feed's text as plain data with every default that has a value; as it is written where it no longer fits what a
    definition is (an early version). {} for what is not TOML."""
    try:
        written = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    found: list[DefinitionFault] = []
    feed = convert(written, Feed, (), found)
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(written if found else feed))
    plain.pop("version", None)
    return plain


def changes(old: str, new: str) -> tuple[DefinitionChange, ...]:
    """Every difference between the definitions of two texts; () exactly when they mean the same."""
    return tuple(_tables((), definition(old), definition(new)))


def text_diff(old: str, new: str, names: tuple[str, str]) -> str:
    """The unified difference of two texts, line by line; "" when they are equal."""
    lines = difflib.unified_diff(_lines(old), _lines(new), *names)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def without_source(found: Iterable[DefinitionChange]) -> tuple[DefinitionChange, ...]:
    """The same changes for readers who may not see what a source is asked with: those paths without their values."""
    return tuple(
        DefinitionChange(one.path, one.change, hidden=True) if re.match(r"source\b", one.path) else one for one in found
    )


def _compare(path: Key, old: Any, new: Any) -> Iterator[DefinitionChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _tables(path, old, new)
    elif _are_tables(old) and _are_tables(new):
        yield from _arrays(path, old, new)
    elif not same(old, new):
        yield DefinitionChange(_written(path), "changed", old, new)


def _tables(path: Key, old: dict[str, Any], new: dict[str, Any]) -> Iterator[DefinitionChange]:
    for name in dict.fromkeys([*new, *old]):
        here = (*path, name)
        if name not in old:
            yield DefinitionChange(_written(here), "added", None, new[name])
        elif name not in new:
            yield DefinitionChange(_written(here), "removed", old[name], None)
        else:
            yield from _compare(here, old[name], new[name])


def _arrays(path: Key, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[DefinitionChange]:
    """Arrays of tables. One that stands elsewhere is compared with itself, not with what took its place."""
    found = pairs(old, new)
    others = set(moved(found))
    for before, after in found:
        if after is None:
            assert before is not None
            yield DefinitionChange(_written((*path, before)), "removed", old[before], None)
        elif before is None:
            yield DefinitionChange(_written((*path, after)), "added", None, new[after])
        else:
            if (before, after) in others:
                yield DefinitionChange(_written((*path, after)), "moved", before, after)
            yield from _compare((*path, after), old[before], new[after])


def same(old: Any, new: Any) -> bool:
    """Whether two plain values mean the same: true is not 1, and a NaN is a NaN."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same(value, new[name]) for name, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same, old, new))
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    return bool(old == new) or (old != old and new != new)  # noqa: PLR0124


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list | tuple) else value


def _written(path: Key) -> str:
    """`rules[2].options.max_age`; a key that TOML would quote is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{name}" if text else name
    return text
