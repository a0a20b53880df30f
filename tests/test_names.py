"""One idea has one name: no class name twice, none of the retired words, and the glossary names what is there."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tidemill"
GLOSSARY = ROOT / "docs" / "glossary.md"
SCHEMA = SOURCE / "store" / "sql" / "schema"

# What each was replaced by stands in the glossary. As whole words of an identifier.
RETIRED = set(
    """asked beaten blame buried bury found gave_way gone it known_seq losers one overtaken place position scrub
    standing tell together told up_to walls withdraw withdrawn""".split()  # noqa: SIM905
)


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    return [(path.relative_to(SOURCE), ast.parse(path.read_text())) for path in sorted(SOURCE.rglob("*.py"))]


def test_no_class_name_is_used_twice() -> None:
    homes = defaultdict(list)
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(f"{path}:{node.lineno}")
    twice = {name: where for name, where in homes.items() if len(where) > 1}
    assert not twice


def test_no_retired_word_is_an_identifier() -> None:
    """At the level of modules, classes and parameters: what a reader meets first."""
    uses = [f"{path}:{line}: {name}" for path, tree in trees() for name, line in declared(tree) if is_retired(name)]
    assert not uses


def is_retired(name: str) -> bool:
    return name.strip("_") in RETIRED


def declared(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names of modules' and classes' members, and of parameters, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Module | ast.ClassDef):
            yield from (pair for child in node.body for pair in members(child))


def members(node: ast.stmt) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name, node.lineno
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        for name in ast.walk(target):
            if isinstance(name, ast.Name):
                yield name.id, name.lineno


def rows() -> list[list[str]]:
    lines = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:] if "---" not in line]


def test_every_class_and_table_of_the_glossary_is_there() -> None:
    classes = {node.name for _, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    text = "\n".join(path.read_text() for path in SCHEMA.glob("*.sql"))
    tables = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", text))
    table = rows()
    assert len(table) > 20
    for word, _, its_classes, its_tables in table:
        for name in re.findall(r"`(\w+)`", its_classes):
            assert name in classes, f"{word}: there is no class {name}"
        for name in re.findall(r"`(\w+)`", its_tables):
            assert name in tables, f"{word}: there is no table {name}"


def test_every_word_of_the_glossary_is_in_the_code() -> None:
    names = {part for _, tree in trees() for node in ast.walk(tree) for part in words_of(node)}
    for word, *_ in rows():
        parts = re.findall(r"[a-z]+", word.lower())
        assert all(part in names or f"{part}s" in names for part in parts), word


def words_of(node: ast.AST) -> Iterator[str]:
    name = getattr(node, "name", None) or getattr(node, "id", None) or getattr(node, "arg", None) or ""
    if isinstance(name, str):
        yield from (part.lower() for part in re.findall(r"[A-Z]?[a-z]+", name))
