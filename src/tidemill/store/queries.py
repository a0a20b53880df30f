"""Loads the named queries of `sql/queries/*.sql`: SQL is a first-class file, and code asks for it by name.

A file holds blocks. A block opens with `-- name: points_range`, goes on with comment lines that say what it answers,
then the SQL, up to the next block. Values appear as `{start:Int64}` and are bound by the server, never formatted in.
What several queries share stands once, in a block that opens with `-- fragment: NAME`; a line `-- include: NAME` in the
SQL of a query stands for its text.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec

from tidemill.errors import StartupError

FOLDER = Path(__file__).parent / "sql" / "queries"

_OPENING = re.compile(r"-- (name|fragment):")
_NAME = re.compile(r"-- (name|fragment): ([a-z][a-z0-9_]*)\s*\Z")
_INCLUDE = re.compile(r"^([ \t]*)-- include: (.*?)[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*):[^}]+\}")


class Query(msgspec.Struct, frozen=True):
    """One named query: what it answers, its SQL, and the names of the values it takes."""

    name: str
    comment: str
    sql: str
    takes: frozenset[str]

    def check(self, values: Mapping[str, object]) -> None:
        """Raise TypeError unless `values` has exactly the names that the query takes."""
        if values.keys() != self.takes:
            raise TypeError(f"query {self.name} takes {sorted(self.takes)}, got {sorted(values)}")


def query(name: str, sql: str, comment: str = "") -> Query:
    """A query of this name; the values it takes are read from its SQL."""
    return Query(name, comment, sql, frozenset(_PLACEHOLDER.findall(sql)))


@cache
def packaged() -> Mapping[str, Query]:
    """The queries that Tidemill ships, read once."""
    return load(FOLDER)


def load(folder: Path) -> dict[str, Query]:
    """Every query in a folder's `.sql` files. Raises StartupError with file and line for a block that is at fault."""
    found: dict[str, _Block] = {}
    for path in sorted(folder.glob("*.sql")):
        for block in _blocks(path):
            if block.name in found:
                raise StartupError(f"{block.place}: a query named {block.name} exists already")
            found[block.name] = block
    fragments = {block.name: block.sql for block in found.values() if block.is_fragment}
    return {
        block.name: query(block.name, _included(block, fragments), block.comment)
        for block in found.values()
        if not block.is_fragment
    }


class _Block(msgspec.Struct, frozen=True):
    place: str
    is_fragment: bool
    name: str
    comment: str
    sql: str


def _included(block: _Block, fragments: Mapping[str, str]) -> str:
    """The SQL of a block with the fragments that it includes, indented as the line that includes them."""

    def expanded(sql: str, within: tuple[str, ...]) -> str:
        def text(match: re.Match[str]) -> str:
            indent, name = match[1], match[2]
            if name not in fragments or name in within:
                raise StartupError(
                    f"{block.place}: {block.name} includes {name!r}, which is no fragment, or has itself in it"
                )
            return "\n".join(indent + line for line in expanded(fragments[name], (*within, name)).splitlines())

        return _INCLUDE.sub(text, sql)

    return expanded(block.sql, ())


def _blocks(path: Path) -> Iterator[_Block]:
    block: list[str] = []
    start = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if _OPENING.match(line):
            if block:
                yield _parse(path, start, block)
            block, start = [line], number
        elif block:
            block.append(line)
        elif line.strip() and not line.startswith("--"):
            raise StartupError(f"{path.name}:{number}: SQL stands before the first '-- name:' line")
    if block:
        yield _parse(path, start, block)


def _parse(path: Path, line: int, block: list[str]) -> _Block:
    place = f"{path.name}:{line}"
    match = _NAME.match(block[0])
    if match is None:
        given = block[0].partition(":")[2].strip()
        raise StartupError(f"{place}: a name is lower-case letters, digits and underscores, not {given!r}")
    comments = 1
    while comments < len(block) and block[comments].startswith("--") and not _INCLUDE.match(block[comments]):
        comments += 1
    comment = "\n".join(text.removeprefix("--").strip() for text in block[1:comments])
    sql = "\n".join(block[comments:]).strip().removesuffix(";").rstrip()
    if not comment:
        raise StartupError(f"{place}: say in a comment under the name what {match[2]} answers")
    if not sql:
        raise StartupError(f"{place}: {match[2]} has no SQL")
    return _Block(place, match[1] == "fragment", match[2], comment, sql)
