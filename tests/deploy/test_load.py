"""The load for Locust asks for what the API has; Locust itself is installed by `make load` alone."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_path_of_the_load_is_of_the_api() -> None:
    tree = ast.parse((ROOT / "bench/locustfile.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    paths = {text.split("?")[0].split()[0] for text in texts if text.startswith("/")}
    routes = re.findall(r"^## [A-Z]+ (/\S+)", (ROOT / "docs/reference/api.md").read_text(), re.MULTILINE)
    patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", route)) for route in routes]
    assert len(paths) >= 5
    assert [path for path in sorted(paths) if not any(pattern.fullmatch(path) for pattern in patterns)] == []


def test_locust_is_pinned_with_all_that_it_needs() -> None:
    pins = (ROOT / "bench/requirements-load.txt").read_text()
    assert re.search(r"^locust==[\d.]+ \\\n    --hash=sha256:", pins, re.MULTILINE)
    assert all(block.count("--hash=sha256:") for block in re.split(r"\n(?=[\w-]+==)", pins)[1:])
