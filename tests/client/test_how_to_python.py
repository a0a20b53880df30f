"""Every block of the pages for Python, the shell, questions and forecasts is run as it stands, at a server, and prints
what the page shows."""

from pathlib import Path

import msgspec
import pytest

from tests.support.api import Api, running_api, running_mill, running_worker
from tests.support.pages import check_page
from tidemill.store.migrate import migrate

PAGES = Path(__file__).parents[2] / "docs/how-to"


@pytest.mark.parametrize("page", ["python.md", "questions.md", "forecasts.md", "import.md"])
def test_every_block_prints_what_the_page_shows(whole: Api, tmp_path: Path, page: str) -> None:
    """Each page at a server of its own: their feeds have the same names."""
    address = msgspec.structs.replace(whole.services.store.address, database=page.removesuffix(".md"))
    migrate(address)
    folder = tmp_path / "data"
    with (
        running_api(folder, store=address) as api,
        running_mill(folder, address, api.hints),
        running_worker(folder, address, api.wake),
    ):
        check_page(PAGES / page, api.url, tmp_path)
