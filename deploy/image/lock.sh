#!/usr/bin/env bash
# Writes anew which packages the images hold: those of pyproject.toml's extras, each in one
# version and with its hashes, for the Python that the Dockerfile begins with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install -q 'uv>=0.9,<1'
python=$(sed -n 's/^ARG PYTHON=\([0-9]*\.[0-9]*\).*/\1/p' Dockerfile)

lock() {  # lock FILE SOURCE OPTION...
    local file=deploy/image/$1 source=$2
    shift 2
    "$tools/bin/uv" pip compile --quiet --universal --python-version "$python" \
        --generate-hashes --no-emit-index-url --no-annotate --upgrade \
        --custom-compile-command deploy/image/lock.sh -o "$file" "$@" "$source"
}

lock service.txt pyproject.toml --extra service
lock bluesky.txt pyproject.toml --extra ophyd --extra tiled
lock build.txt - <<< "$(sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml)"
