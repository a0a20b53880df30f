"""The pictures of the pages are those that the script draws now, and text that is small and safe to show."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/how-to/two-meters"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
MAX_BYTES = 60_000


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    subprocess.run([sys.executable, ROOT / "scripts/two_meters.py", folder], check=True)
    return folder


def test_the_pictures_are_up_to_date(drawn: Path) -> None:
    """But for a tenth of a pixel, because processors differ in the last digits of a forecast."""
    assert sorted(file.name for file in drawn.iterdir()) == sorted(file.name for file in FOLDER.iterdir())
    for file in sorted(drawn.iterdir()):
        now, kept = file.read_text("utf-8"), (FOLDER / file.name).read_text("utf-8")
        assert NUMBER.sub("#", now) == NUMBER.sub("#", kept), f"{file.name}: run `make docs` and commit the result"
        numbers = ([float(text) for text in NUMBER.findall(each)] for each in (now, kept))
        assert max(abs(a - b) for a, b in zip(*numbers, strict=True)) < 0.15, f"{file.name}: run `make docs`"


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_a_picture_is_small_says_what_it_shows_and_loads_nothing(file: Path) -> None:
    text = file.read_text("utf-8")
    assert len(text) < MAX_BYTES
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") and "prefers-color-scheme: dark" in text
    assert not re.search(r"href|url\(|<script|<image", text)
    page = (FOLDER.parent / "two-meters.md").read_text("utf-8")
    assert f"two-meters/{file.name}" in page
