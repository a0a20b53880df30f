"""The documentation builds as a site without a warning: every page is in it, and every link leads somewhere."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_guide_builds_without_a_warning_and_has_every_page(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/guide.py", "--to", str(tmp_path / "guide")]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert made.returncode == 0, made.stderr
    built = {path.relative_to(tmp_path / "guide"): path.read_text("utf-8") for path in tmp_path.rglob("*.html")}
    written = [path.relative_to(ROOT / "docs") for path in ROOT.glob("docs/**/*.md")]
    assert {path.with_name("index.html" if path.stem == "README" else f"{path.stem}.html") for path in written} <= set(
        built
    )
    assert [path for path, text in built.items() if "fonts.googleapis" in text] == []
