"""Every block of the page for Python and the shell is run as it stands, at a server, and prints what the page shows."""

from pathlib import Path

from tests.support.api import Api
from tests.support.pages import check_page

PAGES = Path(__file__).parents[2] / "docs/how-to"


def test_every_block_prints_what_the_page_shows(whole: Api, tmp_path: Path) -> None:
    check_page(PAGES / "python.md", whole.url, tmp_path)
