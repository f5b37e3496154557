#!/bin/sh
# Get a Python that this Debian does not have, for the tests: unpacked, never installed.
#
#   tools/debian-python.sh VERSION [PACKAGE...]      e.g. 3.14
#
# Leaves, in build/pythonVERSION/:
#   root/            the interpreter and all libraries that it needs, its own libc among them
#   bin/pythonVERSION  runs it with its own dynamic loader, as any user (so /proc/PID/exe is the
#                    loader's); `chroot .../root /usr/bin/pythonVERSION` runs it as containers do
#
# apt itself picks the packages from the next Debian release, and checks them with the keys of
# Debian that are on this machine; it has a state of its own, so that this system's is not touched.
# Exit code 0 when the interpreter is there (in the end), 1 when it cannot be had here.
set -eu

VERSION=${1:?which version?}
shift
SUITE=${SUITE:-forky} # the testing release after Debian 13: newer Pythons appear in sid first
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
LIMIT=${LIMIT:-90} # seconds for all that is fetched

cd "$(dirname "$0")/.."
target=build/python$VERSION
program=$target/bin/python$VERSION

fail() {
    echo "No Python $VERSION: $1" >&2
    exit 1
}

# The first mirror that apt knows here for Debian itself, in either format of its sources.
mirror() {
    cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
        awk '/^URIs:/ { print $2; exit }
            /^deb[ \t]/ { sub(/\[[^]]*\]/, ""); print $2; exit }'
}

if [ "$(uname -s)" = Linux ] && "$program" -c "" 2>/dev/null; then
    exit 0
fi
command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "there is no apt-get here."
[ -r "$KEYS" ] || fail "Debian's keys are missing (package debian-archive-keyring)."
uri=$(mirror)
[ -n "$uri" ] || fail "apt knows no mirror of Debian here."

mkdir -p build
work=$(mktemp -d "$PWD/build/python$VERSION.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work" # apt fetches as a user of its own
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/root" "$work/bin"
: >"$work/status" # nothing is installed there: apt adds all that is needed
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$uri" "$SUITE" "$KEYS" >"$work/debian.sources"

# What docker images and desktops do after an update is no concern of this one.
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
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END

apt() {
    APT_CONFIG="$work/apt.conf" timeout "$LIMIT" apt-get --quiet=2 "$@" </dev/null \
        >"$work/log" 2>&1 || fail "$(tail -n 3 "$work/log")"
}

echo "Fetching Python $VERSION from Debian $SUITE"
apt update
apt install --yes --download-only --no-install-recommends "python$VERSION" "$@"
# Debian keeps all of its files in /usr, with links to there (package base-files, in its scripts).
mkdir -p "$work/root/tmp" "$work/root/usr/bin" "$work/root/usr/lib" "$work/root/usr/lib64"
chmod 1777 "$work/root/tmp"
ln -s usr/bin usr/lib usr/lib64 "$work/root"
for package in "$work"/cache/archives/*.deb; do
    dpkg --extract "$package" "$work/root"
done

cat >"$work/bin/python$VERSION" <<'END'
#!/bin/sh
# Written by tools/debian-python.sh.
root=$(cd "$(dirname "$0")/../root" && pwd)
END
cat >>"$work/bin/python$VERSION" <<END
export PYTHONHOME="\$root/usr"
for loader in "\$root"/usr/lib*/ld-linux*.so.*; do
    [ -x "\$loader" ] && break
done
libraries=\$(echo "\$root"/usr/lib/*-linux-gnu)
exec "\$loader" --library-path "\$libraries" --argv0 "\$root/usr/bin/python$VERSION" \
    "\$root/usr/bin/python$VERSION" "\$@"
END
chmod +x "$work/bin/python$VERSION"
"$work/bin/python$VERSION" -c "import asyncio, sqlite3, ssl" 2>"$work/log" ||
    fail "it does not run: $(tail -n 1 "$work/log")"
rm -rf "$target"
mkdir "$target"
mv "$work/root" "$work/bin" "$target"
