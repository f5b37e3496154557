#!/bin/sh
# Install the package, editable, and the pinned versions of what it needs.
#
#   tools/venv.sh DIRECTORY EXTRAS      e.g. .venv notebook,dev
set -eu

PYTHON=${PYTHON:-python3}
venv=$1
extras=$2

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "The workbench needs Python 3.11 or later; $PYTHON is $("$PYTHON" --version 2>&1)." >&2
    echo "Give another one:  make PYTHON=/path/to/python3 ..." >&2
    exit 1
fi
# A directory without pip was left by an attempt that failed: begin again.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "Making the virtual environment $venv"
    "$PYTHON" -m venv --clear "$venv"
fi
echo "Installing the Python packages [$extras]"
install() {
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install -qq \
        --root-user-action=ignore -c constraints.txt "$@"
}
# The build tools are pinned too, so they are installed here and not in an isolated environment.
install hatchling editables wheel
install --no-build-isolation --editable ".[$extras]"
