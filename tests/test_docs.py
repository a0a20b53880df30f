"""The generated reference says what the code says, and the README names nothing that is not there."""

import re
from pathlib import Path

import pytest

from tidemill import docs

ROOT = Path(__file__).parents[1]
PAGES = docs.reference_pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / docs.FOLDER / name).read_text("utf-8") == PAGES[name], "run `make docs` and commit the result"


WRITTEN = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", [page for page in WRITTEN if not page.startswith("docs/reference/")])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")
    pages = [page for page in WRITTEN if page.startswith("docs/") and "/decisions/" not in page]
    assert [page for page in pages if page != "docs/README.md" and page.removeprefix("docs/") not in index] == []


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"^make ([a-z]+)", (ROOT / page).read_text("utf-8"), re.MULTILINE))
        assert named <= targets
