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
# Say what pip is doing, a word a package and not three lines; `failed` on standard input ends with status 1.
follow() {
    awk -v total="$1" '
        /^failed$/ { failed = 1 }
        /^(Collecting|Requirement already satisfied)/ {
            count++
            if (count % 10 == 0) { printf "  %d of %d packages\n", count, total; fflush() }
        }
        /^ *Downloading .*MB/ { sub(/-.*/, "", $2); printf "  downloading %s %s %s\n", $2, $3, $4; fflush() }
        /^Installing collected/ { print "  unpacking them (some 20 s) ..."; fflush() }
        END { exit failed }'
}

pip() {
    "$VENV/bin/python" -m pip --disable-pip-version-check "$@"
}

if [ ! -x "$VENV/bin/python" ]; then
    echo "Making $VENV ..."
    "$PYTHON" -m venv "$VENV"
fi
COUNT=$(cat "$REQUIREMENTS" requirements-build.txt | grep -c '==')
echo "Installing the $COUNT packages of $REQUIREMENTS into $VENV (half a minute, and what downloads take) ..."
# Modules are compiled as they are first imported: that takes less than compiling all of them here.
{
    pip install --no-compile --progress-bar off --require-hashes --no-deps --only-binary=:all: \
        -r "$REQUIREMENTS" -r requirements-build.txt || echo failed
} | follow "$COUNT"
pip install -q --no-deps --no-build-isolation --editable .
echo "$VENV is ready; \`. $VENV/bin/activate\` gives a shell the tidemill command."
