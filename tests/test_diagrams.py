"""Each diagram of the documentation was drawn from the source beside it."""

import hashlib
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[1] / "docs/pictures").glob("*.mmd"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_picture_is_that_of_its_source(source: Path) -> None:
    named = hashlib.sha256(source.read_bytes()).hexdigest()
    assert named in source.with_suffix(".svg").read_text("utf-8").splitlines()[-1], "run `make diagrams`"
