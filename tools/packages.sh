#!/bin/sh
# Install the Debian packages that are missing here, and only those.
#
#   tools/packages.sh GROUP...     GROUP: demo, test, bench, vm
#
# What is missing is found by looking for the tool or the file itself, not for the package: a
# compiler from elsewhere is as good. Exit code 0 when all is there (in the end), 1 when something
# is missing and cannot be installed; then it says exactly what to install.
set -eu

PYTHON=${PYTHON:-python3}
PATH=$PATH:/usr/sbin:/sbin
missing=""

need() { # PACKAGE, and a command that succeeds when it is not needed
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has() { command -v "$1"; }

compiles() { printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' |
    cc -x c -o /dev/null -; }

has_library() { find /usr/lib /usr/lib64 -maxdepth 2 -name "$1" 2>/dev/null | grep .; }

makes_venvs() { "$PYTHON" -c 'import ensurepip, venv'; }

has_bcc() { has_library libbcc.so.0 && test -d /usr/lib/python3/dist-packages/bcc; }

group_demo() {
    need python3-venv makes_venvs
    has cc >/dev/null || missing="$missing gcc"
    need libc6-dev test -e /usr/include/stdio.h
    need clang has clang
    need llvm has llvm-strip
    need libbpf-dev test -e /usr/include/bpf/bpf_helpers.h
    need libbpf1 has_library libbpf.so.1
}

group_test() {
    group_demo
    need bpftool has bpftool
    need strace has strace
    need iproute2 has ss
    need mount has losetup
    need e2fsprogs has mkfs.ext4
    need chromium has chromium
    need fonts-dejavu-core test -d /usr/share/fonts/truetype/dejavu
    need python3-bpfcc has_bcc
    need bpfcc-tools has opensnoop-bpfcc
    need bpftrace has bpftrace
    need linux-perf has perf
    need nodejs has node
    need npm has npm
    need golang-go has go
    group_vm
}

group_vm() {
    group_demo
    need bpftool has bpftool
    need qemu-system-x86 has qemu-system-x86_64
    need busybox-static test -x /bin/busybox
}

group_bench() {
    group_demo
    need bpftrace has bpftrace
    need python3-bpfcc has_bcc
}

for group; do
    case $group in
    demo | test | bench | vm) "group_$group" ;;
    *)
        echo "packages.sh: unknown group $group" >&2
        exit 2
        ;;
    esac
done

# Each once.
missing=$(echo "$missing" | tr ' ' '\n' | sort -u | tr '\n' ' ' | sed 's/^ *//; s/ *$//')
if [ -z "$missing" ]; then
    exit 0
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if has sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo"
    elif has sudo >/dev/null && [ -t 0 ]; then
        as_root="sudo"
        echo "Debian packages are missing: $missing. sudo may ask for your password."
    else
        echo "Debian packages are missing and this user may not install them. As root:" >&2
        echo "    apt-get install --no-install-recommends $missing" >&2
        exit 1
    fi
fi
if ! has apt-get >/dev/null; then
    echo "These are missing and there is no apt-get here; install what provides them: $missing" >&2
    exit 1
fi

# shellcheck disable=SC2086 # both are lists of words
install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 \
        --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 $missing </dev/null
}

echo "Installing Debian packages: $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be missing or too old: refresh them only when the first try fails.
# shellcheck disable=SC2086
if ! install >"$log" 2>&1; then
    if ! { $as_root apt-get update --quiet=2 </dev/null && install; } >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        echo "The Debian packages could not be installed. Needed: $missing" >&2
        exit 1
    fi
fi
