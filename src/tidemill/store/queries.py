"""Loads the named queries of `sql/queries/*.sql`: SQL is a first-class file, and code asks for it by name.

A file holds blocks. A block opens with `-- name: points_range`, goes on with comment lines that say what it answers,
then the SQL, up to the next block. Values appear as `{start:Int64}` and are bound by the server, never formatted in.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec

from tidemill.errors import StartupError

FOLDER = Path(__file__).parent / "sql" / "queries"

_NAME = re.compile(r"-- name: ([a-z][a-z0-9_]*)\s*\Z")
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
    found: dict[str, Query] = {}
    for path in sorted(folder.glob("*.sql")):
        for line, one in _blocks(path):
            if one.name in found:
                raise StartupError(f"{path.name}:{line}: a query named {one.name} exists already")
            found[one.name] = one
    return found


def _blocks(path: Path) -> Iterator[tuple[int, Query]]:
    block: list[str] = []
    start = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("-- name:"):
            if block:
                yield start, _parse(path, start, block)
            block, start = [line], number
        elif block:
            block.append(line)
        elif line.strip() and not line.startswith("--"):
            raise StartupError(f"{path.name}:{number}: SQL stands before the first '-- name:' line")
    if block:
        yield start, _parse(path, start, block)


def _parse(path: Path, line: int, block: list[str]) -> Query:
    place = f"{path.name}:{line}"
    match = _NAME.match(block[0])
    if match is None:
        raise StartupError(
            f"{place}: a name is lower-case letters, digits and underscores, not {block[0][8:].strip()!r}"
        )
    comments = 1
    while comments < len(block) and block[comments].startswith("--"):
        comments += 1
    comment = "\n".join(text.removeprefix("--").strip() for text in block[1:comments])
    sql = "\n".join(block[comments:]).strip().removesuffix(";").rstrip()
    if not comment:
        raise StartupError(f"{place}: say in a comment under the name what {match.group(1)} answers")
    if not sql:
        raise StartupError(f"{place}: {match.group(1)} has no SQL")
    return query(match.group(1), sql, comment)
