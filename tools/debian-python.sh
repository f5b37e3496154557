#!/bin/sh
# Get a Python that this Debian does not have, for the tests: unpacked, never installed.
#
#   tools/debian-python.sh VERSION      e.g. 3.14
#
# Leaves, in build/pythonVERSION/:
#   root/              the interpreter and all libraries that it needs, its own libc among them
#   bin/pythonVERSION  runs it from there with its own dynamic loader, so that /proc/PID/exe is the
#                      loader; `unshare --mount --root .../root /usr/bin/pythonVERSION` runs it as
#                      containers do
#
# apt picks the packages from a later release (SUITE) of the mirror that it uses here, and checks
# them with Debian's keys, which are on this machine; it gets a state of its own, so this system's
# is not touched. Exit code 0 when the interpreter is there (in the end), 1 when it cannot be had
# here, with a reason; then another call within an hour does not try again.
set -eu

VERSION=${1:?which version?}
SUITE=${SUITE:-forky} # the one after Debian 13; `sid` has newer Pythons earlier
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
LIMIT=45 # seconds for the lists, and for the packages (11 and 17 MB)

cd "$(dirname "$0")/.."
target=build/python$VERSION
failed=build/python$VERSION.failed

fail() {
    echo "No Python $VERSION: $1" | tee "$failed" >&2
    exit 1
}

# The first mirror that apt knows here, in either format of its sources.
mirror() {
    cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
        awk '/^URIs:/ { print $2; exit }
            /^deb[ \t]/ { sub(/\[[^]]*\]/, ""); print $2; exit }'
}

if "$target/bin/python$VERSION" -c "" 2>/dev/null; then
    exit 0
fi
mkdir -p build
if [ -n "$(find "$failed" -mmin -60 2>/dev/null)" ]; then
    cat "$failed" >&2
    exit 1
fi
for tool in apt-get dpkg timeout; do
    command -v "$tool" >/dev/null || fail "there is no $tool here."
done
[ -r "$KEYS" ] || fail "Debian's keys are missing (package debian-archive-keyring)."
uri=${MIRROR:-$(mirror)}
[ -n "$uri" ] || fail "apt knows no mirror of Debian here."

work=$(mktemp -d "$PWD/$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work" # apt fetches as a user of its own
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/bin"
: >"$work/status" # nothing is installed in there, so apt adds all that is needed
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$uri" "$SUITE" "$KEYS" >"$work/debian.sources"
# Proxies of this machine hold; what it does after an update (as docker images do) does not.
cat >"$work/apt.conf" <<END
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/debian.sources";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END

apt() {
    APT_CONFIG="$work/apt.conf" timeout "$LIMIT" apt-get --quiet=2 "$@" </dev/null \
        >"$work/log" 2>&1 || fail "apt-get $1 fails: $(tail -n 3 "$work/log")"
}

echo "Fetching Python $VERSION from Debian $SUITE, for the tests"
apt update --error-on=any
apt install --yes --download-only --no-install-recommends "python$VERSION"
# All files of Debian lie in /usr, with links to there (package base-files, in its scripts).
mkdir -p "$work/root/tmp" "$work/root/usr/bin" "$work/root/usr/lib" "$work/root/usr/lib64"
chmod 1777 "$work/root/tmp"
ln -s usr/bin usr/lib usr/lib64 "$work/root"
for package in "$work"/cache/archives/*.deb; do
    dpkg --extract "$package" "$work/root"
done

cat >"$work/bin/python$VERSION" <<END
#!/bin/sh
# Written by tools/debian-python.sh.
root=\$(cd "\$(dirname "\$0")/../root" && pwd)
for loader in "\$root"/usr/lib*/ld-linux*.so.*; do
    exec "\$loader" --library-path "\$(echo "\$root"/usr/lib/*-linux-gnu)" \\
        --argv0 "\$root/usr/bin/python$VERSION" "\$root/usr/bin/python$VERSION" "\$@"
done
END
chmod +x "$work/bin/python$VERSION"
"$work/bin/python$VERSION" -c "import asyncio, sqlite3, ssl" >"$work/log" 2>&1 ||
    fail "it does not run: $(tail -n 1 "$work/log")"
rm -rf "$target" "$failed"
mkdir "$target"
mv "$work/root" "$work/bin" "$target"
