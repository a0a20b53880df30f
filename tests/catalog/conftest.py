"""A fresh catalog for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.catalog.sqlite import SqliteCatalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqliteCatalog]:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    yield catalog
    catalog.close()
