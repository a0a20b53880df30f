"""Writes the types of the page's API client from the API's own description, or checks that they are those of it.

python scripts/page_types.py [--check]     needs ui/node_modules (`make ui`)
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import page
from tidemill.api.app import Document

TYPES = page.UI / "src/lib/api/api.d.ts"


def bare(node: Any) -> Any:
    """The description without its examples and without its problems (the client throws those, of one type): they are
    many times longer than the types of the answers."""
    if isinstance(node, list):
        return [bare(member) for member in node]
    if not isinstance(node, dict):
        return node
    kept = {name: bare(member) for name, member in node.items() if name not in ("example", "examples")}
    if isinstance(answers := kept.get("responses"), dict):
        kept["responses"] = {status: answer for status, answer in answers.items() if status[:1] in "23"}
    return kept


def made() -> str:
    """The types that the description of today gives."""
    page.install_modules()
    with tempfile.TemporaryDirectory() as folder:
        description, types = Path(folder) / "openapi.json", Path(folder) / "api.d.ts"
        description.write_text(json.dumps(bare(Document().data)))
        page.run(["node_modules/.bin/openapi-typescript", str(description), "--output", str(types)])
        return types.read_text()


def main(arguments: Sequence[str]) -> int:
    """0 when the types are written, or were right already."""
    types = made()
    if "--check" not in arguments:
        TYPES.write_text(types)
        return 0
    if TYPES.exists() and TYPES.read_text() == types:
        return 0
    print("ui/src/lib/api/api.d.ts is not what openapi.json gives: make ui-types", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
