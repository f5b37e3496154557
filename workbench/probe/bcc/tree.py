"""A header tree for BCC, made from the running kernel's own BTF.

BCC compiles against kernel headers, which are mostly not there, and with another version's headers
its programs load and read garbage. BTF has every type of the running kernel, exactly. What it
has not, macros, comes from the C library's kernel headers (user ABI: fixed values), from the
kernel's configuration, and from ``kernel_macros.h``.

Three things have to be mended in what bpftool writes, all found by comparing every member's place
with BTF (:mod:`workbench.probe.bcc.layout_check`):

- It leaves out the size of one-byte enums (bpftool 7.1), which then take four.
- It pads with unnamed bit fields. BCC compiles for the host and then swaps the data layout
  for BPF's, in which integers wider than 64 bits are aligned otherwise; LLVM keeps a run of unnamed
  ``long: 64`` in one such integer. Members of their own stay where they are.
- It never writes that a union is packed, yet takes it for such where it looks for members at odd
  places: of a struct that is packed because of a union in it, it does not say so (:func:`pack`).
"""

from __future__ import annotations

import gzip
import mmap
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UnsupportedKernelError
from workbench.probe import btf as b

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.probe.btf import Btf

BTF = Path("/sys/kernel/btf/vmlinux")
MACROS = Path(__file__).with_name("kernel_macros.h")
KCONFIG = "include/linux/kconfig.h"
"""What BCC includes before anything else; all types and macros come with it."""

TYPES = "include/workbench/types.h"

# Headers of the C library's kernel headers (linux-libc-dev) whose macros programs use.
UAPI = """
asm/fcntl asm/ioctls asm/mman asm/poll asm/prctl asm/signal asm/socket asm/unistd linux/audit
linux/blktrace_api linux/bpf linux/bpf_common linux/capability linux/errno linux/eventpoll
linux/fcntl linux/fs linux/futex linux/icmp linux/icmpv6 linux/if_arp linux/if_ether
linux/if_packet linux/in linux/in6 linux/ip linux/ipv6 linux/kdev_t linux/limits linux/loop
linux/magic linux/major linux/mempolicy linux/mman linux/mount linux/net linux/netfilter
linux/netlink linux/nfs4 linux/oom linux/openat2 linux/param linux/perf_event linux/pkt_cls
linux/pkt_sched linux/prctl linux/ptrace linux/sched linux/seccomp linux/signal linux/socket
linux/sockios linux/stat linux/tcp linux/tcp_metrics linux/time linux/udp linux/uio linux/un
linux/virtio_blk linux/vm_sockets linux/wait
"""

# Typedefs of include/linux/types.h and others that some kernels' BTF lacks, as nothing uses them.
TYPEDEFS = {
    **{f"__be{n}": f"__u{n}" for n in (16, 32, 64)},
    **{f"__le{n}": f"__u{n}" for n in (16, 32, 64)},
    **{f"int{n}_t": f"__s{n}" for n in (8, 16, 32, 64)},
    **{f"uint{n}_t": f"__u{n}" for n in (8, 16, 32, 64)},
    **{"__wsum": "__u32", "__sum16": "__u16", "sector_t": "u64", "gfp_t": "unsigned int"},
    **{"u_char": "unsigned char", "ushort": "unsigned short", "uint": "unsigned int"},
    **{"ulong": "unsigned long", "u_int": "unsigned int", "time64_t": "__s64"},
    **{"uintptr_t": "unsigned long", "ptrdiff_t": "long", "ssize_t": "long"},
    **{"fmode_t": "unsigned int", "atomic_long_t": "atomic64_t", "__kernel_long_t": "long"},
}


def make(directory: Path, btf: Btf, *, source: Path = BTF, release: str = "") -> None:
    """Write the tree.

    Parameters
    ----------
    directory : pathlib.Path
        Empty or new.
    btf : Btf
        The content of ``source``.
    source : pathlib.Path
        The kernel's BTF.
    release : str
        The kernel's release, by default the running one's.

    Raises
    ------
    UnsupportedKernelError
        bpftool or clang is missing.
    """
    release = release or platform.release()
    types = mended(dumped(source), btf)
    enumerators = set(re.findall(r"^\t(\w+) = ", types, re.MULTILINE))
    files = {
        "include/generated/autoconf.h": config(release),
        TYPES: guarded(types),
        "include/workbench/macros.h": kernel_macros(enumerators, types),
        "include/workbench/uapi.h": uapi(enumerators),
        KCONFIG: _kconfig(release, types),
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def dumped(source: Path = BTF) -> str:
    """Return all types as C, as bpftool writes them.

    Raises
    ------
    UnsupportedKernelError
    """
    return run(["bpftool", "btf", "dump", "file", str(source), "format", "c"], "bpftool")


def mended(types: str, btf: Btf) -> str:
    """Return bpftool's text with the sizes of one-byte enums, and padding that stays in place."""
    bytes_ = {t.name for t in btf.types if t.kind == b.ENUM and t.size == 1 and t.name}
    types = re.sub(
        r"(^enum (\w+) \{\n(?:\t.*\n)*\});",
        lambda m: f"{m[1]} __attribute__((mode(byte)));" if m[2] in bytes_ else m[0],
        types,
        flags=re.MULTILINE,
    )
    count = 0

    def named(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"{match[1]} wb_pad_{count};"

    whole = r"long: 64|int: 32|short: 16|char: 8"
    return re.sub(
        rf"^(\t+)({whole});$",
        lambda m: named(re.match(r"(\t+\w+)", m[0]) or m),
        types,
        flags=re.MULTILINE,
    )


def pack(directory: Path, structs: Iterable[str]) -> None:
    """Say of structs and unions (``struct NAME``) in a tree that they are packed."""
    path = directory / TYPES
    text = path.read_text()
    for each in structs:
        body = rf"(^{re.escape(each)} \{{\n(?:[^}}].*\n|\n)*?\}});"
        text = re.sub(body, r"\1 __attribute__((packed));", text, flags=re.MULTILINE)
    path.write_text(text)


def guarded(types: str) -> str:
    """Return the text with a guard around each struct, for programs that define it themselves."""
    return re.sub(
        r"^((?:struct|union) (\w+) \{\n(?:[^}].*\n|\n)*?\}[^;\n]*;\n)",
        lambda m: f"#ifndef WB_OMIT_{m[2]}\n{m[1]}#endif\n",
        types,
        flags=re.MULTILINE,
    )


def config(release: str) -> str:
    """Return the kernel's configuration as macros; without one what every kernel with BTF has."""
    text = config_text(release)
    if not text:
        machine = "CONFIG_X86_64" if platform.machine() == "x86_64" else "CONFIG_ARM64"
        names = f"CONFIG_64BIT {machine} CONFIG_SMP CONFIG_BPF_SYSCALL CONFIG_NET_NS"
        text = "".join(
            f"{name}=y\n" for name in [*names.split(), "CONFIG_ARCH_HAS_SYSCALL_WRAPPER"]
        )
    forms = {"y": "#define {0} 1", "m": "#define {0}_MODULE 1"}
    found = re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE)
    return "\n".join(forms.get(v, "#define {0} {1}").format(n, v) for n, v in found) + "\n"


def config_text(release: str) -> str:
    """Return the kernel's configuration file, "" where there is none."""
    if release == platform.release() and Path("/proc/config.gz").exists():
        with gzip.open("/proc/config.gz", "rt") as file:
            return file.read()
    for path in (Path(f"/boot/config-{release}"), Path(f"/usr/lib/modules/{release}/config")):
        if path.exists():
            return path.read_text()
    return ""


def kernel_macros(enumerators: set[str], types: str) -> str:
    """Return ``kernel_macros.h`` without the names that are enumerators here."""
    page = mmap.PAGESIZE
    inline = "((struct dentry *)0)->" + ("d_shortname" if "d_shortname" in types else "d_iname")
    head = [
        f"#define PAGE_SHIFT {page.bit_length() - 1}",
        "#define PAGE_SIZE (1UL << PAGE_SHIFT)",
        "#define PAGE_MASK (~(PAGE_SIZE - 1))",
        f"#define WB_DENTRY_INLINE_NAME {inline}",
    ]
    text = "\n".join(head) + "\n" + MACROS.read_text()
    return re.sub(
        r"^#define (\w+)\b((?:.*\\\n)*.*)$",
        lambda m: "" if m[1] in enumerators else f"#undef {m[1]}\n{m[0]}",
        text,
        flags=re.MULTILINE,
    )


def uapi(enumerators: set[str]) -> str:
    """Return the macros of the user ABI, and numbers of helper functions that BTF lacks."""
    include = "".join(
        f"#if __has_include(<{h}.h>)\n#include <{h}.h>\n#endif\n" for h in UAPI.split()
    )
    base = set(_preprocessed("", "-dM").splitlines())
    lines = []
    for line in _preprocessed(include, "-dM").splitlines():
        match = re.match(r"#define ([A-Z]\w*|__NR_\w+)(\([^)]*\))?\s+(.*)", line)
        # An include guard, a macro that only user space can expand, or an enumerator's alias.
        if line in base or not match or match[1] in enumerators or match[3] == match[1]:
            continue
        if "typeof" not in match[3]:
            lines.append(f"#ifndef {match[1]}\n{line}\n#endif")
    lines += _helpers(enumerators)
    return "\n".join(lines) + "\n"


def _helpers(enumerators: set[str]) -> list[str]:
    """``enum bpf_func_id`` of the user ABI: BCC names helpers that older kernels do not have."""
    text = _preprocessed("#include <linux/bpf.h>\n", "-P")
    body = re.search(r"enum bpf_func_id\s*\{(.*?)\}", text, re.DOTALL)
    found = re.findall(r"(BPF_FUNC_\w+)(?:\s*=\s*(\d+))?", body[1]) if body else []
    lines, number = [], -1
    for name, value in found:
        number = int(value) if value else number + 1
        if name not in enumerators:
            lines.append(f"#define {name} {number}")
    return lines


def _preprocessed(text: str, option: str) -> str:
    machine = f"/usr/include/{platform.machine()}-linux-gnu"
    types = f"{machine}/sys/types.h" if Path(machine, "sys/types.h").exists() else "sys/types.h"
    command = ["clang", "-E", option, "-x", "c", "-D__KERNEL__", "-include", types, "-"]
    return run(command, "clang", text)


def _kconfig(release: str, types: str) -> str:
    version = [int(n) for n in re.findall(r"\d+", release)[:3]]
    major, minor, patch = [*version, 0, 0, 0][:3]
    missing = [
        f"typedef {meaning} {name};"
        for name, meaning in TYPEDEFS.items()
        if not re.search(rf"\b{name};$", types, re.MULTILINE)
    ]
    return "\n".join(
        [
            "#ifndef WB_KCONFIG",
            "#define WB_KCONFIG",
            # Relative names: BCC puts the working directory before all others.
            '#include "../generated/autoconf.h"',
            # These types are in BTF: keep BCC's own copies out.
            "#define _UAPI__LINUX_BPF_H__",
            "#define __LINUX_BPF_H__",
            "#define BPF_NO_PRESERVE_ACCESS_INDEX",
            "#define BPF_NO_KFUNC_PROTOTYPES",
            f"#define LINUX_VERSION_CODE {(major << 16) + (minor << 8) + min(patch, 255)}",
            "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))",
            f'#define UTS_RELEASE "{release}"',
            '#include "../workbench/types.h"',
            *missing,
            '#include "../workbench/macros.h"',
            '#include "../workbench/uapi.h"',
            "#endif\n",
        ]
    )


def run(command: list[str], package: str, text: str = "") -> str:
    """Run a tool; return its output.

    Raises
    ------
    UnsupportedKernelError
        It is missing or fails.
    """
    what = f"{command[0]} is needed to compile C for eBPF."
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        advice = f"Install it: apt-get install {package}."
        raise UnsupportedKernelError(what, why=str(error), advice=advice) from error
    if done.returncode:
        raise UnsupportedKernelError(what, why=done.stderr.strip()[-800:])
    return done.stdout
