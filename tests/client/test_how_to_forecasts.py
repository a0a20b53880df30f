"""Every block of the page about forecasts is run as it stands, at a server, and prints what the page shows."""

from pathlib import Path

from tests.client.test_how_to_python import run_page
from tests.support.api import Api

PAGE = Path(__file__).parents[2] / "docs/how-to/forecasts.md"


def test_every_block_prints_what_the_page_shows(whole: Api, tmp_path: Path) -> None:
    run_page(PAGE, whole.url, tmp_path)
