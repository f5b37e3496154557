"""What a guest boots into: busybox, the modules for the shared file system, and a script."""

from __future__ import annotations

import lzma
import re
from pathlib import Path

from vm.kernels import Kernel, NoKernelError

BUSYBOX = Path("/bin/busybox")
WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "veth", "sch_netem")
"""The last two for networks with a known delay and loss."""
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
"""In a module's section .modinfo."""
INIT = """#!/bin/busybox sh
# Mount the host's file system below an overlay in memory, run /run/host/command there, say what
# came of it in files next to it, and power off.
b=/bin/busybox
fail() { echo "$@"; $b poweroff -f; }
$b mkdir -p /proc /sys /dev /host /memory /new
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev 2>/dev/null
for m in $($b cat /modules/order); do $b insmod /modules/$m || echo "insmod $m failed"; done
how=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o ro,cache=loose,$how root /host || fail "no shared file system"
$b mount -t tmpfs -o size=60% memory /memory
$b mkdir /memory/upper /memory/work
$b mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work new /new ||
    fail "no overlay"
n=/new
$b mount -t proc proc $n/proc
$b mount -t sysfs sys $n/sys
$b mount -t devtmpfs dev $n/dev
$b mkdir -p $n/dev/pts $n/dev/shm
$b mount -t devpts devpts $n/dev/pts
$b mount -t tmpfs shm $n/dev/shm
$b mount -t tmpfs run $n/run
$b mount -t tracefs tracing $n/sys/kernel/tracing
$b mount -t debugfs debug $n/sys/kernel/debug
$b mount -t bpf bpf $n/sys/fs/bpf
$b mount -t cgroup2 cgroup $n/sys/fs/cgroup
for f in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
    $b ln -sf /proc/self/${f#*:} $n/dev/${f%:*}
done
$b mkdir -p $n/run/host
$b mount -t 9p -o rw,cache=none,$how exchange $n/run/host || fail "no exchange"
k=$($b uname -r)
$b mkdir -p $n/lib/modules/$k
$b mount --bind $n@MODULES@ $n/lib/modules/$k
for source in @SOURCES@; do
    $b mkdir -p $n/usr/src/${source##*/}
    $b mount --bind $n$source $n/usr/src/${source##*/}
done
$b ifconfig lo 127.0.0.1 up
$b hostname guest
echo 1 > /proc/sys/kernel/printk
$b cut -d' ' -f1 /proc/uptime > $n/run/host/booted
$b chroot $n /bin/bash /run/host/command > $n/run/host/output 2>&1 < /dev/null
echo $? > $n/run/host/code
$b poweroff -f
"""


def build(kernel: Kernel) -> bytes:
    """Return the initial file system for a kernel.

    Raises
    ------
    NoKernelError
        busybox or the modules are missing.
    """
    if not BUSYBOX.exists():
        raise NoKernelError("busybox is not installed")
    files = _modules(kernel)
    sources = " ".join(str(path) for path in kernel.sources)
    text = INIT.replace("@MODULES@", str(kernel.modules)).replace("@SOURCES@", sources)
    entries = [(name, 0o40755, b"") for name in ("bin", "modules", "dev", "proc")]
    entries.append(("bin/busybox", 0o100755, BUSYBOX.read_bytes()))
    entries += [(f"modules/{name}", 0o100644, data) for name, data in files.items()]
    entries.append(("modules/order", 0o100644, " ".join(files).encode()))
    entries.append(("init", 0o100755, text.encode()))
    return archive(entries)


def _modules(kernel: Kernel) -> dict[str, bytes]:
    """Modules in the order in which they are to be loaded: each behind those it depends on."""
    files = {
        path.name.split(".ko")[0].replace("-", "_"): path for path in kernel.modules.rglob("*.ko*")
    }
    built_in = (kernel.modules / "modules.builtin").read_text().replace("-", "_")
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if f"{name}.ko" in found or f"/{name}.ko" in built_in:
            return
        if name not in files:
            raise NoKernelError(f"Linux {kernel.release} has no module {name}")
        data = files[name].read_bytes()
        if files[name].suffix == ".xz":
            data = lzma.decompress(data)
        told = DEPENDS.search(data)
        for other in filter(None, told[1].decode().split(",") if told else ()):
            add(other.replace("-", "_"))
        found[f"{name}.ko"] = data

    for name in WANTED:
        add(name)
    return found


def archive(entries: list[tuple[str, int, bytes]]) -> bytes:
    """Return a cpio archive in the format "newc".

    Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.

    Parameters
    ----------
    entries : list of (str, int, bytes)
        Name, mode, content.
    """
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        text = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(text), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + text
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)
