"""Checks of the web page that need no browser: its types, its tests, its sizes, and its types of the API.

python scripts/page_checks.py     needs the built page (`scripts/page.py`)
"""

import gzip
import json
import sys
from typing import Any

import page
import page_types

KB = 1000
ENTRY = "entry"
HOME, EXPLORE = "src/routes/home/", "src/routes/explore/"
# Of a feed's page: itself and its editor. Its other parts are loaded when they are opened.
EDITOR = "src/routes/feeds/Page"
# What a visitor has loaded, in KB of gzip: on Home, then after Explore, then after the editor of a feed.
JAVASCRIPT_KB = (((HOME,), 60), ((HOME, EXPLORE), 110), ((HOME, EXPLORE, EDITOR), 230))
ALL_JAVASCRIPT_KB = 300
CSS_KB = 14


def sizes(chunks: dict[str, Any], routes: tuple[str, ...]) -> int:
    """Bytes of the scripts, packed, that these routes load: the entry, their pages, and what those import."""
    wanted = [name for name, chunk in chunks.items() if chunk.get("name") == ENTRY or name.startswith(routes)]
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            wanted += chunks[name].get("imports", [])
            if name.startswith(routes):
                later = chunks[name].get("dynamicImports", [])
                wanted += [one for one in later if not one.startswith("src/routes/")]  # parts of a page: when opened
    return sum(packed(chunks[name]["file"]) for name in seen if chunks[name]["file"].endswith(".js"))


def packed(file: str) -> int:
    """Bytes of a built file as gzip sends it."""
    return len(gzip.compress((page.BUILT / file).read_bytes(), 9))


def too_large() -> list[str]:
    """The budgets that the built page exceeds, a sentence each."""
    chunks = json.loads((page.BUILT / "chunks.json").read_text())
    files = [path for path in (page.BUILT / "assets").iterdir() if path.suffix in (".js", ".css")]
    measured = [
        (f"scripts of {' and '.join(route.split('/')[2] for route in routes)}", sizes(chunks, routes), limit)
        for routes, limit in JAVASCRIPT_KB
    ]
    for suffix, what, limit in ((".js", "all scripts", ALL_JAVASCRIPT_KB), (".css", "all styles", CSS_KB)):
        total = sum(packed(f"assets/{path.name}") for path in files if path.suffix == suffix)
        measured.append((what, total, limit))
    for what, size, limit in measured:
        print(f"  {what}: {size / KB:.1f} of {limit} KB{'' if size <= limit * KB else ', MISSED'}")
    return [
        f"{what}: {size / KB:.1f} KB of gzip, and {limit} are the budget"
        for what, size, limit in measured
        if size > limit * KB
    ]


def main() -> int:
    """0 when all is well; each check says itself what is not."""
    failed = page_types.main(["--check"])
    for command in (["npm", "run", "--silent", "check"], ["npm", "run", "--silent", "test"]):
        try:
            print(page.run(command))
        except page.PageError as error:
            print(error, file=sys.stderr)
            failed = 1
    for sentence in too_large():
        print(sentence, file=sys.stderr)
        failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
