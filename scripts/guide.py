"""Builds the guide from `docs/` into `src/tidemill/guide_dist/`, unless it was built from these very sources.

    python scripts/guide.py [--or-without | --to FOLDER]     --or-without: a guide that cannot be built is no failure;
                                                            --to: build it there, whatever is built already

MkDocs and its theme (`requirements-docs.txt`) are installed into `build/mkdocs`, apart from the server's packages.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "src/tidemill/guide_dist"
MARK = BUILT / ".sources"
TOOLS = ROOT / "build/mkdocs"
PINS = ROOT / "requirements-docs.txt"
OTHERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "mkdocs.yml", "scripts/guide_hooks.py", "scripts/guide.css")


class GuideError(Exception):
    """The guide could not be built; the message is a sentence that says what to do."""


def sources_hash() -> str:
    """sha256 over the paths and bytes of all that the guide is made of."""
    digest = hashlib.sha256(PINS.read_bytes())
    for path in sorted([*(ROOT / "docs").rglob("*"), *(ROOT / name for name in OTHERS)]):
        if path.is_file():
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_built() -> bool:
    """True when the guide is there and was built from the sources that are there (or when there are none)."""
    if not (ROOT / "mkdocs.yml").is_file():
        return MARK.is_file()
    return MARK.is_file() and MARK.read_text() == sources_hash()


def build(built: Path = BUILT) -> None:
    """Build the guide. The old one stays until the new one is whole; raises GuideError, also for a mere warning."""
    sources = sources_hash()
    install_tools()
    made = built.with_name(f"{built.name}.new")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--clean", "--site-dir", str(made)]
    environment = os.environ | {"PYTHONPATH": str(TOOLS), "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode or "WARNING" in ended.stderr:
        raise GuideError("MkDocs refuses the documentation:\n" + (ended.stdout + ended.stderr).strip())
    for name in ("sitemap.xml", "sitemap.xml.gz"):
        (made / name).unlink(missing_ok=True)
    (made / MARK.name).write_text(sources)
    shutil.rmtree(built, ignore_errors=True)
    made.rename(built)


def install_tools() -> None:
    """Install what requirements-docs.txt names into `build/mkdocs`, unless just that is there. Raises GuideError."""
    pins = hashlib.sha256(PINS.read_bytes()).hexdigest()
    mark = TOOLS / ".of-pins"
    if mark.exists() and mark.read_text() == pins:
        return
    shutil.rmtree(TOOLS, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--target", str(TOOLS), "-r", str(PINS)]
    if subprocess.run(command, check=False).returncode:
        raise GuideError("pip could not fetch MkDocs (requirements-docs.txt).")
    mark.write_text(pins)


def main() -> int:
    """The exit status: 0 when the guide is there, or may be missing (--or-without)."""
    elsewhere = sys.argv[2] if sys.argv[1:2] == ["--to"] else ""
    if is_built() and not elsewhere:
        return 0
    began = time.monotonic()
    print("Making the guide, once for these pages ...", flush=True)
    try:
        build(Path(elsewhere) if elsewhere else BUILT)
    except GuideError as error:
        print(f"  {error}", file=sys.stderr)
        return 0 if "--or-without" in sys.argv[1:] else 1
    print(f"  the guide is ready, after {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
