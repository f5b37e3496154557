"""Make ``syscalls.tsv`` from this machine's own headers and kernel.

Run as root on x86-64 with gcc, linux-libc-dev and a kernel with ``CONFIG_FTRACE_SYSCALLS``::

    python workbench/data/make_syscalls.py > workbench/data/syscalls.tsv

Sources:

- numbers: ``asm/unistd_64.h`` (x86-64) and ``asm-generic/unistd.h`` as
  ``arch/arm64/include/uapi/asm/unistd.h`` includes it (arm64);
- numbers of calls that are newer than the headers: a child calls each number that the headers do
  not know with all arguments -1, and the kernel's own ``syscalls`` tracepoints name it. From 424
  on both architectures share their numbers (``scripts/syscall.tbl`` of the kernel);
- argument names: the tracepoints' formats, that is the kernel's ``SYSCALL_DEFINE`` macros. Calls
  that the kernel was built without have them from :data:`UNBUILT`.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ARM64_WANTS = (
    "RENAMEAT",
    "NEW_STAT",
    "SET_GET_RLIMIT",
    "TIME32_SYSCALLS",
    "SYS_CLONE3",
    "MEMFD_SECRET",
)
"""``__ARCH_WANT_*`` macros of ``arch/arm64/include/uapi/asm/unistd.h``, Linux 6.1."""

TRACEPOINT_NAMES = {
    "stat": "newstat",
    "fstat": "newfstat",
    "lstat": "newlstat",
    "uname": "newuname",
    "umount2": "umount",
    "sendfile": "sendfile64",
}
"""Calls whose kernel function, and so tracepoint, has another name than their number."""

UNBUILT = {
    "delete_module": "name_user,flags",
    "finit_module": "fd,uargs,flags",
    "get_thread_area": "u_info",
    "init_module": "umod,len,uargs",
    "kexec_file_load": "kernel_fd,initrd_fd,cmdline_len,cmdline_ptr,flags",
    "kexec_load": "entry,nr_segments,segments,flags",
    "lookup_dcookie": "cookie64,buf,len",
    "map_shadow_stack": "addr,size,flags",
    "set_thread_area": "u_info",
    "uselib": "library",
}
"""Arguments of calls that a small kernel leaves out, from the kernel's SYSCALL_DEFINE macros."""

UNBUILT_NUMBERS = {"map_shadow_stack": 453}
"""``scripts/syscall.tbl``; answers only where CONFIG_X86_USER_SHADOW_STACK is set."""

ARM64_ARGUMENTS = {"clone": "clone_flags,newsp,parent_tidptr,tls,child_tidptr"}
"""Calls whose registers differ: arm64 selects CONFIG_CLONE_BACKWARDS (``kernel/fork.c``)."""

LIMIT = 512
FIRST_SHARED = 424
"""From this number on all architectures share their numbers."""

HEADER = """\
# System calls of Linux by name: x86_64 number, aarch64 number, arguments.
# Made by make_syscalls.py in this directory from {sources}.
# "-": the architecture has no such call. Arguments: comma-separated names in register order,
# empty when the call takes none, "?" when they are not known (calls that were never or are no
# longer implemented).
name\tx86_64\taarch64\targuments"""


def header_numbers(*arguments: str) -> dict[str, int]:
    """Return name -> number of the ``__NR_`` macros that the preprocessor sees."""
    command = ["gcc", "-E", "-dM", "-x", "c", *arguments, "/dev/null"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    macros: dict[str, str] = dict(
        re.findall(r"^#define (__NR(?:3264)?_\w+) (\S+)$", text, re.MULTILINE)
    )
    resolved = {name: macros.get(value, value) for name, value in macros.items()}
    skipped = {"__NR_syscalls", "__NR_arch_specific_syscall"}
    return {
        name.removeprefix("__NR_"): int(value)
        for name, value in resolved.items()
        if name.startswith("__NR_") and name not in skipped and value.isdigit()
    }


def call(number: int) -> None:
    """Make one system call with six times -1 in a child, since some kill their caller."""
    libc = ctypes.CDLL(None)
    child = os.fork()
    if not child:
        libc.alarm(2)
        libc.syscall(number, *[ctypes.c_long(-1)] * 6)
        os._exit(0)
    os.waitpid(child, 0)


def traced_numbers(tracefs: Path, numbers: list[int], known: set[str]) -> dict[str, int]:
    """Return name -> number of calls that are not in `known`, as the tracepoints name them."""
    instance = tracefs / "instances" / f"make_syscalls-{os.getpid()}"
    instance.mkdir()
    found: dict[str, int] = {}
    try:
        (instance / "options" / "event-fork").write_text("1")
        (instance / "set_event_pid").write_text(str(os.getpid()))
        for number in numbers:
            (instance / "trace").write_text("")
            (instance / "events" / "syscalls" / "enable").write_text("1")
            call(number)
            # Off before the trace is read: reading is a system call, too.
            (instance / "events" / "syscalls" / "enable").write_text("0")
            names = set(re.findall(r": sys_(\w+)\(", (instance / "trace").read_text()))
            found.update(dict.fromkeys(names - known, number))
    finally:
        instance.rmdir()
    return found


def traced_arguments(tracefs: Path) -> dict[str, tuple[str, ...]]:
    """Return the kernel's name of each call -> names of its arguments."""
    found = {}
    for path in (tracefs / "events" / "syscalls").glob("sys_enter_*/format"):
        text = path.read_text().split("__syscall_nr;")[1]
        fields = re.findall(r"field:[^;]*?(\w+);\toffset", text)
        found[path.parent.name.removeprefix("sys_enter_")] = tuple(fields)
    return found


def rows(tracefs: Path) -> list[tuple[str, int | None, int | None, str]]:
    """Return (name, x86_64 number, aarch64 number, arguments) of every call."""
    x86 = header_numbers("-include", "asm/unistd_64.h")
    wants = [f"-D__ARCH_WANT_{name}" for name in ARM64_WANTS]
    arm = header_numbers(*wants, "-include", "asm-generic/unistd.h")
    known = set(x86) | set(TRACEPOINT_NAMES.values())
    unnamed = sorted(set(range(LIMIT)) - set(x86.values()))
    newer = traced_numbers(tracefs, unnamed, known) | UNBUILT_NUMBERS
    x86 |= newer
    arm |= {name: number for name, number in newer.items() if number >= FIRST_SHARED}
    arguments = {name: ",".join(names) for name, names in traced_arguments(tracefs).items()}
    table: list[tuple[str, int | None, int | None, str]] = []
    for name in sorted(x86 | arm, key=lambda name: (x86.get(name, LIMIT), name)):
        text = arguments.get(TRACEPOINT_NAMES.get(name, name), UNBUILT.get(name, "?"))
        if name in ARM64_ARGUMENTS:
            table.append((name, x86.get(name), None, text))
            table.append((name, None, arm.get(name), ARM64_ARGUMENTS[name]))
        else:
            table.append((name, x86.get(name), arm.get(name), text))
    return table


def main() -> None:
    """Write the table to the standard output."""
    directory = Path(tempfile.mkdtemp())
    subprocess.run(["mount", "-t", "tracefs", "none", directory], check=True)
    try:
        table = rows(directory)
    finally:
        subprocess.run(["umount", directory], check=True)
        directory.rmdir()
    query = ["dpkg-query", "-W", "-f", "${Version}", "linux-libc-dev"]
    headers = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    release = ".".join(os.uname().release.split(".")[:2])
    lines = [HEADER.format(sources=f"linux-libc-dev {headers} and a running Linux {release}")]
    for name, x86, arm, arguments in table:
        numbers = ("-" if number is None else str(number) for number in (x86, arm))
        lines.append("\t".join((name, *numbers, arguments)))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
