"""Hooks of MkDocs for the guide (`mkdocs.yml`): links that leave `docs/` find a copy, the decisions get an index, and
the slides become slides. The Markdown stays as it is read in the repository."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DECISIONS = "decisions/README.md"
PROJECT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(?<=\]\()(?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """The pages of the project's root, an index of the decisions, the style, and what pages link to outside `docs/`."""
    for name in PROJECT_PAGES:
        files.append(File.generated(config, f"project/{name}", abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, DECISIONS, content=decisions_index()))
    files.append(File.generated(config, "guide.css", abs_src_path=str(ROOT / "scripts/guide.css")))
    for path in sorted(linked_files(files)):
        files.append(File.generated(config, f"project/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links as they are in the site."""
    folder = folder_of(page.file.src_uri)

    def in_site(link: re.Match[str]) -> str:
        target = site_path(folder, link["path"])
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".") + (link["anchor"] or "")

    return LINK.sub(in_site, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """The slides: what stands between two rules is one."""
    if page.file.src_uri != "slides.md":
        return html
    slides = re.split(r"<hr ?/?>", html)
    return "\n".join(f'<section class="slide">{slide}</section>' for slide in slides)


def decisions_index() -> str:
    """A list of all decisions, by number, as Markdown."""
    lines = [
        "# Decisions",
        "",
        "Each choice that cuts across parts, with what was measured and what was not taken.",
        "",
    ]
    for path in sorted((ROOT / "docs/decisions").glob("*.md")):
        title = path.read_text("utf-8").partition("\n")[0].removeprefix("# ").removeprefix(f"{path.stem[:4]}: ")
        lines.append(f"- [{path.stem[:4]}]({path.name}): {title}")
    return "\n".join(lines) + "\n"


def linked_files(files: Files) -> set[str]:
    """The files outside `docs/` that pages link to, from the root of the project; no folders and no pages."""
    found = set()
    for file in files.documentation_pages():
        text = FENCE.sub("", Path(file.abs_src_path).read_text("utf-8") if file.abs_src_path else "")
        for link in LINK.finditer(text):
            path = posixpath.normpath(posixpath.join(folder_of(file.src_uri), link["path"]))
            if not path.startswith("docs/") and path not in PROJECT_PAGES and (ROOT / path).is_file():
                found.add(path)
    return found


def folder_of(source: str) -> str:
    """The folder of a page in the repository: what its links are relative to."""
    return "" if source.startswith("project/") else posixpath.dirname(f"docs/{source}")


def site_path(folder: str, link: str) -> str:
    """Where a link of a page in this folder of the repository leads in the site. A folder is its README."""
    path = posixpath.normpath(posixpath.join(folder, link))
    if path == "docs/decisions":
        return DECISIONS
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return "project/README.md"
    return f"project/{path}"
