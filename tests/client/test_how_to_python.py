"""Every block of the pages for Python, the shell and questions is run as it stands, at a server, and prints what the
page shows."""

from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.pages import check_page

PAGES = Path(__file__).parents[2] / "docs/how-to"


@pytest.mark.parametrize("page", ["python.md", "questions.md", "forecasts.md"])
def test_every_block_prints_what_the_page_shows(whole: Api, tmp_path: Path, page: str) -> None:
    check_page(PAGES / page, whole.url, tmp_path)
