#!/bin/sh
# Get the programs that open what the workbench exports, for the tests: unpacked, never installed.
#
#   tools/importers.sh
#
# Leaves build/importers/speedscope (speedscope's pages) and build/importers/profiler-cli (the
# Firefox Profiler for a terminal) as npm's client gets them, each checked with its SHA-256. Exit
# code 0 when both are there (in the end), 1 when they cannot be had here, with a reason; then
# another call within an hour does not try again.
set -eu

LIMIT=60 # seconds for each

cd "$(dirname "$0")/.."
target=build/importers
failed=build/importers.failed

fail() {
    echo "No importers: $1" | tee "$failed" >&2
    exit 1
}

get() { # DIRECTORY PACKAGE VERSION SHA256
    if [ -f "$target/$1/package/package.json" ] && [ "$(cat "$target/$1/version")" = "$3" ]; then
        return 0
    fi
    timeout "$LIMIT" npm pack --silent --pack-destination "$work" "$2@$3" >/dev/null 2>&1 ||
        fail "npm does not get $2 $3."
    file=$(find "$work" -name '*.tgz')
    echo "$4  $file" | sha256sum --check --quiet || fail "$2 $3 is not what it was."
    mkdir -p "$work/$1" "$target"
    tar -xzf "$file" -C "$work/$1"
    rm "$file"
    echo "$3" >"$work/$1/version"
    rm -rf "${target:?}/$1"
    mv "$work/$1" "$target/$1"
}

mkdir -p build
if [ -n "$(find "$failed" -mmin -60 2>/dev/null)" ]; then
    cat "$failed" >&2
    exit 1
fi
for tool in npm node timeout; do
    command -v "$tool" >/dev/null || fail "there is no $tool here."
done
work=$(mktemp -d "$PWD/build/importers.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
get speedscope speedscope 1.25.0 2831f1e0d26df914b477e522d78b8485511495a6af81a0b88158f8b48f9e0d03
get profiler-cli @firefox-devtools/profiler-cli 0.10.0 41a25d3ef0c1131f5286eb098489f2868d7b9a627424023fc6e7aff9a33f85e2
