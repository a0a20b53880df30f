"""Draws the diagrams of the documentation: each `docs/pictures/NAME.mmd` (Mermaid) becomes `NAME.svg` beside it.

    python scripts/diagrams.py      needs npm and Debian's chromium; draws only what changed

A picture names the sha256 of its source, so that a test finds one that is older (tests/test_diagrams.py).
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs/pictures"
MERMAID = "@mermaid-js/mermaid-cli@11.17.0"
STYLE = {"theme": "neutral", "htmlLabels": False, "flowchart": {"htmlLabels": False}, "fontFamily": "Inter, sans-serif"}
DECIMALS = re.compile(rb"(\d+\.\d)\d+")  # a tenth of a pixel is enough, and a third of the bytes


def drawn_from(source: bytes) -> bytes:
    """The comment at the end of a picture that names its source."""
    return b"<!-- drawn from " + hashlib.sha256(source).hexdigest().encode() + b" -->\n"


def is_current(source: Path) -> bool:
    """Whether there is a picture that was drawn from this very source."""
    picture = source.with_suffix(".svg")
    return picture.is_file() and picture.read_bytes().endswith(drawn_from(source.read_bytes()))


def draw(sources: list[Path]) -> None:
    """Draw each of these sources. Raises CalledProcessError where Mermaid refuses one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "browser.json").write_text(json.dumps({"executablePath": chromium, "args": ["--no-sandbox"]}))
        (folder / "style.json").write_text(json.dumps(STYLE))
        given = ["-p", str(folder / "browser.json"), "-c", str(folder / "style.json")]
        command = ["npx", "--yes", "-p", MERMAID, "-p", "puppeteer", "mmdc", "-q", *given]
        environment = os.environ | {"PUPPETEER_SKIP_DOWNLOAD": "1"}
        for source in sources:
            made = folder / f"{source.stem}.svg"
            subprocess.run([*command, "-i", str(source), "-o", str(made)], env=environment, check=True)
            picture = DECIMALS.sub(rb"\1", made.read_bytes()).rstrip() + b"\n" + drawn_from(source.read_bytes())
            source.with_suffix(".svg").write_bytes(picture)
            print(f"drew {source.with_suffix('.svg').name}, {len(picture) / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    draw([source for source in sorted(FOLDER.glob("*.mmd")) if not is_current(source)])
    sys.exit(0)
