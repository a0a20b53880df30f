"""The data's way through the tree is straight: imports run downward only, and siblings do not import each other."""

import ast
from functools import cache
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
        "durable",
        "readiness",
    },
    {"model"},
    {"checks", "sqlite", "client", "processes"},
    {"store", "log", "catalog", "rules", "decode", "feeds", "analysis"},
    {"mill", "query", "sources"},
    {"data_folder", "jobs"},
    {"api", "simulate", "backup"},
    {"service", "start"},
    {"supervise", "parts", "banner"},
    {"cli"},
    {"docs"},
)
# Siblings that may be joined, each for a reason.
JOINS = {
    ("settings", "errors"),  # a wrong setting is a StartupError
    ("lock", "errors"),
    ("decode", "feeds"),  # decode and rules are compiled from feed definitions
    ("rules", "feeds"),
    ("catalog", "log"),  # the catalog of a cluster uses the log's connection to JetStream
    ("rules", "decode"),  # rules take decode's batch
}


def place(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


@cache
def imported_names(path: Path) -> set[str]:
    """What a module imports, by full names."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(path: Path) -> set[str]:
    """The parts of the product that a module imports."""
    parts = [name.split(".") for name in imported_names(path)]
    return {name[1] for name in parts if name[0] == "tidemill" and len(name) > 1 and name[1] != "__version__"}


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


def test_the_client_knows_no_server_and_only_commands_use_it() -> None:
    for path in MODULES:
        if unit(path) == "client":
            assert imports(path) <= {"client", "errors", "model"}, path
        elif unit(path) != "cli":
            assert "client" not in imports(path), path


IMPLEMENTATIONS = {"tidemill.log.sqlite": "log/opening.py", "tidemill.catalog.sqlite": "catalog/opening.py"}
OF_ANOTHER_PROGRAM = "client/files/home_assistant.py"  # reads the database of another program
SQLITE = ("apsw", "sqlite3", "tidemill.sqlite")
FILES = ("log.sqlite", "log.high-water", "log.lock", "log.continue-above", "catalog.sqlite")


def is_of(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_one_place_names_each_implementation_and_sqlite_stays_behind_its_contracts() -> None:
    wrong = []
    for path in MODULES:
        where = path.relative_to(ROOT).as_posix()
        for name in imported_names(path):
            for module, opening in IMPLEMENTATIONS.items():
                folder = f"{module.removeprefix('tidemill.').replace('.', '/')}/"
                if is_of(name, module) and where != opening and not where.startswith(folder):
                    wrong.append(f"{where} imports {name}")
            inside = where.startswith(("log/sqlite/", "catalog/", "sqlite/")) or where == OF_ANOTHER_PROGRAM
            if any(is_of(name, module) for module in SQLITE) and not inside:
                wrong.append(f"{where} imports {name}")
    assert not wrong


def test_the_files_of_log_and_catalog_are_named_inside_them_only() -> None:
    for path in MODULES:
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        named = [text for text in texts if isinstance(text, str) and any(file in text for file in FILES)]
        assert unit(path) in ("log", "catalog") or not named, f"{path.relative_to(ROOT)} names {named}"


# Who may read what the mill says of itself, to show it. All others may only write it.
SHOWS_TELEMETRY = {ROOT / "mill" / "status.py", ROOT / "api" / "health.py", ROOT / "api" / "stall.py"}
WRITES_TELEMETRY = {"turn", "stage", "failed", "saw", "add"}


def telemetry_read(source: str) -> list[str]:
    """The attributes that are read of anything called `status` or `_status`, or returned by `telemetry()`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        of = node.value
        named = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
        called = isinstance(of, ast.Call) and isinstance(of.func, ast.Attribute) and of.func.attr == "telemetry"
        if (called or named in {"status", "_status"}) and node.attr not in WRITES_TELEMETRY:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def knows_telemetry(source: str) -> bool:
    """Whether a module can hold a MillStatus at all: others may call an HTTP status `status`."""
    return "MillStatus" in source or "telemetry()" in source


def test_nothing_is_decided_by_telemetry() -> None:
    for path in set(MODULES) - SHOWS_TELEMETRY:
        source = path.read_text()
        if path.is_relative_to(ROOT / "mill") or knows_telemetry(source):
            assert telemetry_read(source) == [], path


def test_reading_telemetry_is_noticed() -> None:
    read = "if self.status.position > 3: seq = shared.status.log_seq; low = state.telemetry().confirmed"
    assert len(telemetry_read(read)) == 3
    written = "self.status.points += 1; status.turn(); status.state = 'idle'; self._status.failed('', 0)"
    assert telemetry_read(written) == []
