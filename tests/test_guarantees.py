"""`docs/guarantees.md` and the tests say the same: every promise names tests that exist, every rig is named."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
_CELLS = re.compile(r"^\|(.*)\|(.*)\|$")
_RULE = re.compile(r"[\s:-]+")


def promises(page: str) -> list[tuple[str, list[str]]]:
    """Each row of the page's tables: the promise, and what it names as its tests. Raises ValueError for a row of
    another form, which would otherwise be a promise that nobody checks."""
    rows = []
    for line in page.splitlines():
        if not line.startswith("|"):
            continue
        cells = _CELLS.match(line.rstrip())
        if cells is None:
            raise ValueError(f"not a row of promise and test: {line}")
        promise, tests = cells[1].strip(), cells[2].strip()
        if promise != "promise" and not _RULE.fullmatch(promise):
            rows.append((promise, re.findall(r"`([^`]+)`", tests)))
    return rows


@cache
def defined_in(path: Path) -> frozenset[str]:
    """The names of the tests in a file, those of a class as `TestClass::test_name`."""

    def names(body: list[ast.stmt], prefix: str) -> set[str]:
        found = set()
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                found.add(prefix + node.name)
            elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                found |= names(node.body, f"{prefix}{node.name}::")
        return found

    return frozenset(names(ast.parse(path.read_text("utf-8")).body, ""))


def faults(page: str) -> list[str]:
    """What is wrong with a page of promises."""
    rows = promises(page)
    wrong = [f"no test shows: {promise}" for promise, tests in rows if not tests]
    for test in sorted({test for _, tests in rows for test in tests}):
        file, _, name = test.partition("::")
        if not name or not (ROOT / file).is_file() or name.partition("[")[0] not in defined_in(ROOT / file):
            wrong.append(f"no such test: {test}")
    named = {test.partition("::")[0] for _, tests in rows for test in tests}
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        file = str(path.relative_to(ROOT))
        if file not in named:
            wrong.append(f"no promise rests on {file}")
    return wrong


def test_every_promise_names_tests_that_exist_and_every_rig_is_named() -> None:
    page = PAGE.read_text("utf-8")
    assert len(promises(page)) > 20
    assert faults(page) == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| All is well. | |", "no test shows: All is well."),
        ("| All is well. | see the tests |", "no test shows: All is well."),
        (
            "| All is well. | `tests/test_guarantees.py::test_of_nothing` |",
            "no such test: tests/test_guarantees.py::test",
        ),
        ("| All is well. | `tests/test_nothing.py::test_a` |", "no such test: tests/test_nothing.py::test_a"),
        ("| All is well. | `tests/test_guarantees.py` |", "no such test: tests/test_guarantees.py"),
        ("| All is well. | `tests/test_guarantees.py::promises` |", "no such test: tests/test_guarantees.py::promises"),
    ],
)
def test_a_promise_that_nothing_shows_is_seen(row: str, fault: str) -> None:
    page = PAGE.read_text("utf-8")
    [found] = set(faults(f"{page}\n{row}\n")) - set(faults(page))
    assert found.startswith(fault)


def test_a_rig_that_no_promise_names_is_seen() -> None:
    page = PAGE.read_text("utf-8").replace("tests/faults/test_power_cut.py", "tests/test_clock.py")
    assert "no promise rests on tests/faults/test_power_cut.py" in faults(page)


def test_a_row_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="not a row"):
        promises("| All is well.\n")
