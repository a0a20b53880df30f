"""Loads the named queries of `sql/queries/*.sql`, which code runs by name.

A file holds blocks. A block opens with `-- name: points_range`, goes on with comment lines that say what it answers,
then the SQL, up to the next block. Parameters appear as `{start:Int64}` and are bound by the server, never formatted
in. A text that several queries share is a block that opens with `-- fragment: NAME`; a line `-- include: NAME` in the
SQL of a query is replaced by that text.
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
    """One named query: a comment that says what it answers, its SQL, and the names of its parameters."""

    name: str
    comment: str
    sql: str
    params: frozenset[str]

    def check_values(self, values: Mapping[str, object]) -> None:
        """Raise TypeError unless the names in `values` are exactly the query's parameters."""
        if values.keys() != self.params:
            raise TypeError(f"query {self.name} takes {sorted(self.params)}, got {sorted(values)}")


def query(name: str, sql: str, comment: str = "") -> Query:
    """A query of this name; its parameters are read from its SQL."""
    return Query(name, comment, sql, frozenset(_PLACEHOLDER.findall(sql)))


@cache
def packaged_queries() -> Mapping[str, Query]:
    """The queries that Tidemill ships, read once."""
    return load_queries(FOLDER)


def load_queries(folder: Path) -> dict[str, Query]:
    """Every query in a folder's `.sql` files, by name. Raises StartupError with file and line for a faulty block."""
    blocks: dict[str, _Block] = {}
    for path in sorted(folder.glob("*.sql")):
        for block in _blocks(path):
            if block.name in blocks:
                raise StartupError(f"{block.source}: a query named {block.name} exists already")
            blocks[block.name] = block
    fragments = {block.name: block.sql for block in blocks.values() if block.is_fragment}
    return {
        block.name: query(block.name, _included(block, fragments), block.comment)
        for block in blocks.values()
        if not block.is_fragment
    }


class _Block(msgspec.Struct, frozen=True):
    source: str  # file and line
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
                    f"{block.source}: {block.name} includes {name!r}, which is no fragment, or has itself in it"
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
    source = f"{path.name}:{line}"
    match = _NAME.match(block[0])
    if match is None:
        given = block[0].partition(":")[2].strip()
        raise StartupError(f"{source}: a name is lower-case letters, digits and underscores, not {given!r}")
    comments = 1
    while comments < len(block) and block[comments].startswith("--") and not _INCLUDE.match(block[comments]):
        comments += 1
    comment = "\n".join(text.removeprefix("--").strip() for text in block[1:comments])
    sql = "\n".join(block[comments:]).strip().removesuffix(";").rstrip()
    if not comment:
        raise StartupError(f"{source}: say in a comment under the name what {match[2]} answers")
    if not sql:
        raise StartupError(f"{source}: {match[2]} has no SQL")
    return _Block(source, match[1] == "fragment", match[2], comment, sql)
