#!/bin/sh
# Make $VENV from pinned requirements (sh scripts/setup.sh FILE) and install the package into it, editable. pip takes
# only files whose sha256 is in the pins, and what they say they need besides is left out: the pins are complete.
# On a bare Debian the venv module is a package of its own: as root we install it, else we say how.
set -eu
PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"
REQUIREMENTS="${1:-requirements-dev.txt}"

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || {
    echo "The pins hold packages for Python 3.11 to 3.13; '$PYTHON' is missing or another. Name one with: make PYTHON=python3.11 ..." >&2
    exit 1
}
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    else
        echo "Python's venv module is missing. Install it with: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
echo "Installing $REQUIREMENTS into $VENV (about a minute the first time) ..."
"$VENV/bin/python" -m pip install -q --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
    -r "$REQUIREMENTS" -r requirements-build.txt
"$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
