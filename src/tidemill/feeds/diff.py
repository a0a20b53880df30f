"""The differences between two versions of a feed definition, as a list of changes with their paths, for a person who
reviews a new version. Definitions are compared, not texts: comments, layout and a default written out are no change.

Variables of [source] are compared as they are written (`${NAME}`), so no change holds a secret.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from tidemill.feeds.convert import DefinitionFault, convert_data
from tidemill.feeds.definition import Feed
from tidemill.feeds.key_lines import Key
from tidemill.feeds.rule_pairs import moved_pairs, pair_rules
from tidemill.model.feed_text import DefinitionChange

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def parse_definition(text: str) -> dict[str, Any]:
    """A feed's text as plain data, with every default that has a value. A text that is no valid definition (of an early
    version) is returned as written, without defaults; a text that is not TOML as {}."""
    try:
        written = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    faults: list[DefinitionFault] = []
    feed = convert_data(written, Feed, (), faults)
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(written if faults else feed))
    plain.pop("version", None)
    return plain


def definition_changes(old: str, new: str) -> tuple[DefinitionChange, ...]:
    """Every difference between the definitions of two texts; () exactly when they mean the same."""
    return tuple(_tables((), parse_definition(old), parse_definition(new)))


def text_diff(old: str, new: str, names: tuple[str, str]) -> str:
    """The unified difference of two texts, line by line; "" when they are equal."""
    lines = difflib.unified_diff(_lines(old), _lines(new), *names)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def hide_source_values(differences: Iterable[DefinitionChange]) -> tuple[DefinitionChange, ...]:
    """The same changes for readers who may not see a [source]: paths in it without their values."""
    return tuple(
        DefinitionChange(item.path, item.change, hidden=True) if re.match(r"source\b", item.path) else item
        for item in differences
    )


def _compare(path: Key, old: Any, new: Any) -> Iterator[DefinitionChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _tables(path, old, new)
    elif _are_tables(old) and _are_tables(new):
        yield from _arrays(path, old, new)
    elif not same_values(old, new):
        yield DefinitionChange(_written(path), "changed", old, new)


def _tables(path: Key, old: dict[str, Any], new: dict[str, Any]) -> Iterator[DefinitionChange]:
    for name in dict.fromkeys([*new, *old]):
        member = (*path, name)
        if name not in old:
            yield DefinitionChange(_written(member), "added", None, new[name])
        elif name not in new:
            yield DefinitionChange(_written(member), "removed", old[name], None)
        else:
            yield from _compare(member, old[name], new[name])


def _arrays(path: Key, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[DefinitionChange]:
    """Differences of arrays of tables. A table that moved is compared with its old version, not with the table that is
    at its old index now."""
    pairs = pair_rules(old, new)
    moved = set(moved_pairs(pairs))
    for before, after in pairs:
        if after is None:
            assert before is not None
            yield DefinitionChange(_written((*path, before)), "removed", old[before], None)
        elif before is None:
            yield DefinitionChange(_written((*path, after)), "added", None, new[after])
        else:
            if (before, after) in moved:
                yield DefinitionChange(_written((*path, after)), "moved", before, after)
            yield from _compare((*path, after), old[before], new[after])


def same_values(old: Any, new: Any) -> bool:
    """Whether two plain values are equal, where true is not 1 and a NaN equals a NaN."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same_values(value, new[name]) for name, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same_values, old, new))
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
    """A key as a path: `rules[2].options.max_age`; a part that TOML would quote is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{name}" if text else name
    return text
