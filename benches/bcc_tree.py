"""BCC without kernel headers: its module, and the few headers that the bench's program needs.

BCC includes kernel headers into every program and fails where there are none. The bench's program
uses no kernel struct but the registers of a system call, which are user ABI; so the tree made here
has the integer types, the kernel's version and ``struct pt_regs``, and nothing of another kernel.
"""

from __future__ import annotations

import importlib
import mmap
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

DEBIAN = Path("/usr/lib/python3/dist-packages")

_TYPES = """
typedef unsigned char __u8, u8;
typedef unsigned short __u16, u16, __be16, __sum16;
typedef unsigned int __u32, u32, __be32, __wsum;
typedef unsigned long long __u64, u64, __be64;
typedef signed char __s8, s8;
typedef short __s16, s16;
typedef int __s32, s32;
typedef long long __s64, s64;
typedef unsigned long size_t, uintptr_t;
typedef _Bool bool;
#define __aligned_u64 __u64 __attribute__((aligned(8)))
"""

# struct pt_regs of arch/x86/include/uapi/asm/ptrace.h and user_pt_regs of arm64, by the kernel's
# names; `orig_x0` follows the latter (arch/arm64/include/asm/ptrace.h).
_REGISTERS = {
    "x86_64": "unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, "
    "orig_ax, ip, cs, flags, sp, ss;",
    "aarch64": "u64 regs[31], sp, pc, pstate, orig_x0;",
}

_EMPTY = (
    "linux/bpf_common.h",
    "linux/log2.h",
    "uapi/linux/bpf.h",
    "uapi/linux/if_ether.h",
    "uapi/linux/if_packet.h",
)


def make(directory: Path) -> Path:
    """Write the header tree; return the value for ``BCC_KERNEL_SOURCE``."""
    version = [int(n) for n in re.findall(r"\d+", platform.release())[:3]]
    registers = _REGISTERS.get(platform.machine(), "u64 regs[1];")
    files = {
        "linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n#define CONFIG_64BIT 1\n",
        "linux/types.h": f"#ifndef BENCH_TYPES\n#define BENCH_TYPES\n{_TYPES}#endif\n",
        "linux/version.h": "#ifndef KERNEL_VERSION\n"
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
        f"#define LINUX_VERSION_CODE KERNEL_VERSION({', '.join(map(str, version))})\n#endif\n",
        "uapi/linux/ptrace.h": "#ifndef BENCH_PTRACE\n#define BENCH_PTRACE\n"
        f"#include <linux/types.h>\nstruct pt_regs {{ {registers} }};\n#endif\n",
        "asm/page.h": f"#ifndef PAGE_SIZE\n#define PAGE_SIZE {mmap.PAGESIZE}\n#endif\n",
        **dict.fromkeys(_EMPTY, ""),
    }
    for name, text in files.items():
        path = directory / "include" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def load(directory: Path) -> Any:
    """Import Debian's ``bcc`` through a path entry that has nothing else, with headers ready.

    Parameters
    ----------
    directory : Path
        A temporary directory.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        It is not installed. (PyPI's package of that name is something else.)
    """
    if not (DEBIAN / "bcc" / "__init__.py").exists():
        raise ImportError("BCC is not installed (Debian: python3-bpfcc)")
    entry = directory / "path"
    entry.mkdir(parents=True)
    (entry / "bcc").symlink_to(DEBIAN / "bcc")
    sys.path.insert(0, str(entry))
    if "BCC_KERNEL_SOURCE" not in os.environ:
        os.environ["BCC_KERNEL_SOURCE"] = str(make(directory / "headers"))
    try:
        return importlib.import_module("bcc")
    except OSError as error:  # libbcc.so
        raise ImportError(str(error)) from error
