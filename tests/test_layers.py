"""The data's way through the tree is straight: imports run downward only, and siblings do not import each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "tidemill"

# The layers of DESIGN section 9, lowest first. A module may import from layers below its own, and from itself.
LAYERS = (
    {
        "errors",
        "settings",
        "telemetry",
        "clock",
        "hints",
        "lifeline",
        "lock",
        "wake",
        "crash_points",
        "plugins",
        "flips",
    },
    {"model"},
    {"checks"},
    {"store", "log", "catalog", "rules", "decode", "feeds", "analysis"},
    {"mill", "query", "sources"},
    {"data_folder", "jobs"},
    {"api", "simulate", "backup"},
    {"service"},
    {"supervise", "banner"},
    {"cli", "client"},
    {"docs"},
)
# Siblings that may be joined, each for a reason.
JOINS = {
    ("settings", "errors"),  # a wrong setting is a StartupError
    ("lock", "errors"),
    ("decode", "feeds"),  # decode and rules are compiled from feed definitions
    ("rules", "feeds"),
    ("rules", "decode"),  # rules take decode's batch
}


def place(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "tidemill" and len(parts) > 1 and parts[1] != "__version__":
                found.add(parts[1])
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
    return found


def unit(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downward_only(path: Path) -> None:
    own = unit(path)
    for other in imports(path) - {own}:
        if place(other) == place(own):
            assert (own, other) in JOINS, f"{own} imports its sibling {other}"
        else:
            assert place(other) < place(own), f"{own} imports {other}, which is above it"


def test_every_part_has_a_layer() -> None:
    parts = {unit(path) for path in MODULES}
    named = set().union(*LAYERS)
    assert parts <= named, f"give these a layer: {sorted(parts - named)}"


def test_intake_of_bytes_knows_no_store_and_store_no_http() -> None:
    for path in (ROOT / "log").glob("*.py"):
        assert "store" not in imports(path)
    for path in (ROOT / "analysis").glob("*.py"):
        assert imports(path) <= {"analysis", "errors", "model"}
