"""Attaching a BCC program's functions: by their names, or to places that are declared.

A place is written as ``KIND:WHERE``::

    kprobe:FUNCTION[+OFFSET]        kretprobe:FUNCTION
    uprobe:FILE:SYMBOL[+OFFSET]     uretprobe:FILE:SYMBOL     (a FILE such as c is libc)
    tracepoint:CATEGORY:EVENT       rawtp:EVENT
    perf:cpu-clock:99               99 a second; of other events every Nth
    usdt:FILE:[PROVIDER:]PROBE
"""

from __future__ import annotations

import ctypes as c
import errno
import fcntl
import os
import platform
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import AttachError
from workbench.probe import perf_event, support, tracefs
from workbench.probe.bcc.libbcc import Symbol, lib
from workbench.probe.bcc.messages import captured
from workbench.probe.clib import errno_text, last_errno, not_permitted

if TYPE_CHECKING:
    from workbench.probe.bcc.module import Module
    from workbench.probe.bcc.usdt import Usdt

# enum bpf_prog_type, include/uapi/linux/bpf.h
KPROBE, TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT, TRACING, LSM = 2, 5, 7, 17, 26, 29

_BY_NAME = (
    # prefix of a function's name, kind of place, program type
    ("kprobe__", "kprobe", KPROBE),
    ("kretprobe__", "kretprobe", KPROBE),
    ("tracepoint__", "tracepoint", TRACEPOINT),
    ("raw_tracepoint__", "rawtp", RAW_TRACEPOINT),
    ("kfunc__", "fentry", TRACING),
    ("kretfunc__", "fexit", TRACING),
    ("lsm__", "lsm", LSM),
)
TYPES = {
    **{kind: number for _, kind, number in _BY_NAME},
    **{"uprobe": KPROBE, "uretprobe": KPROBE, "usdt": KPROBE, "perf": PERF_EVENT},
}
SYSCALL_PREFIX = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}
_IOC_SET_BPF = 0x40042408  # PERF_EVENT_IOC_SET_BPF, include/uapi/linux/perf_event.h


def by_name(function: str) -> tuple[str, str] | None:
    """Return kind and place of a function whose name says where it goes, or None."""
    for prefix, kind, _ in _BY_NAME:
        if function.startswith(prefix):
            place = function.removeprefix(prefix)
            return kind, place.replace("__", ":") if kind == "tracepoint" else place
    return None


def parse(place: str) -> tuple[str, str]:
    """Split ``KIND:WHERE``.

    Raises
    ------
    AttachError
    """
    kind, _, where = place.partition(":")
    if kind not in TYPES or not where or kind in ("fentry", "fexit", "lsm"):
        known = sorted(set(TYPES) - {"fentry", "fexit", "lsm"})
        advice = "BCC attaches KFUNC_PROBE, KRETFUNC_PROBE and LSM_PROBE by the function's name."
        raise AttachError(
            f"{place!r} is no place to attach to.", why=f"one of {known}", advice=advice
        )
    return kind, where


class Attachments:
    """What of a module is attached.

    Parameters
    ----------
    module : Module
        Closed after this.
    pid : int
        Uprobes and perf events run for this process only; -1: for all.
    """

    def __init__(self, module: Module, pid: int = -1) -> None:
        self.module, self.pid = module, pid
        self._detach: list[Callable[[], object]] = []

    def attach(self, function: str, kind: str, where: str) -> None:
        """Load a function and attach it.

        Raises
        ------
        AttachError
            With the reason, and what would work.
        LoadError, NotPermittedError
        """
        fd = self.module.load(function, TYPES[kind])
        act = {
            "kprobe": self._kprobe,
            "kretprobe": self._kprobe,
            "uprobe": self._uprobe,
            "uretprobe": self._uprobe,
            "perf": self._perf,
        }.get(kind)
        if act is not None:
            act(fd, kind, where)
        elif kind == "tracepoint":
            self._tracepoint(fd, *where.split(":", 1))
        elif kind == "rawtp":
            self._keep(kind, where, lambda: lib().bpf_attach_raw_tracepoint(fd, where.encode()))
        else:
            call = lib().bpf_attach_lsm if kind == "lsm" else lib().bpf_attach_kfunc
            self._keep(kind, where, lambda: call(fd))

    def attach_usdt(self, usdt: Usdt) -> None:
        """Attach the functions of the probes that were enabled in a context."""
        for place in usdt.places():
            fd = self.module.load(place.function, KPROBE)
            self._uprobe_at(fd, 0, place.path, place.address, place.pid, "usdt")

    def _tracepoint(self, fd: int, category: str, name: str = "") -> None:
        number, _ = tracefs.read(category, name)
        event = perf_event.open_tracepoint(number, f"The tracepoint {category}:{name}")
        try:
            fcntl.ioctl(event, _IOC_SET_BPF, fd)
        except OSError as error:
            os.close(event)
            what = f"The program cannot be attached to tracepoint:{category}:{name}."
            why = f"{error}: it may read beyond the record of this tracepoint"
            raise AttachError(what, why=why) from error
        self._detach.append(lambda: os.close(event))

    def _kprobe(self, fd: int, kind: str, where: str) -> None:
        name, _, offset = where.partition("+")
        if name.startswith(("sys_", "__x64_sys_", "__arm64_sys_")):
            bare = name.partition("sys_")[2]
            name = SYSCALL_PREFIX.get(platform.machine(), "sys_") + bare
        event = f"wb_{kind[0]}_{os.getpid()}_{re.sub(r'[^a-zA-Z0-9_]', '_', where)}".encode()
        returns, at = int(kind == "kretprobe"), int(offset or "0", 0)
        call = lib().bpf_attach_kprobe
        self._keep(kind, where, lambda: call(fd, returns, event, name.encode(), at, 0))
        self._detach.append(lambda: lib().bpf_detach_kprobe(event))

    def _uprobe(self, fd: int, kind: str, where: str) -> None:
        file, _, symbol = where.rpartition(":")
        symbol, _, offset = symbol.partition("+")
        path, address = resolved(file, symbol, max(self.pid, 0))
        returns = int(kind == "uretprobe")
        self._uprobe_at(fd, returns, path, address + int(offset or "0", 0), self.pid, where)

    def _uprobe_at(
        self, fd: int, returns: int, path: bytes, address: int, pid: int, where: str
    ) -> None:
        event = f"wb_u{returns}_{os.getpid()}_{len(self._detach)}".encode()
        call = lib().bpf_attach_uprobe
        self._keep("uprobe", where, lambda: call(fd, returns, event, path, address, pid, 0))
        self._detach.append(lambda: lib().bpf_detach_uprobe(event))

    def _perf(self, fd: int, kind: str, where: str) -> None:
        name, _, number = where.partition(":")
        if name not in perf_event.EVENTS or not number.isdecimal() or not int(number):
            known = f"events are {', '.join(perf_event.EVENTS)}"
            raise AttachError(f"perf:{where} is no event with a rate.", why=known)
        period, hz = (0, int(number)) if name in perf_event.CLOCKS else (int(number), 0)
        call = lib().bpf_attach_perf_event
        for cpu in perf_event.online_cpus():
            arguments = (fd, *perf_event.EVENTS[name], period, hz, self.pid, cpu, -1)
            self._keep(kind, where, partial(call, *arguments))

    def _keep(self, kind: str, where: str, call: Callable[[], int]) -> None:
        with captured() as messages:
            fd = call()
            number = last_errno()
        if fd >= 0:
            self._detach.append(lambda: os.close(fd))
            return
        what = f"The program cannot be attached to {kind}:{where}."
        advice = _advice(kind, where)
        if number in (errno.EPERM, errno.EACCES) and not advice:
            raise not_permitted(what, number)
        why = f"{errno_text(number)}. {messages.text.strip()}"
        raise AttachError(what, why=why.strip(), advice=advice)

    def close(self) -> None:
        """Detach all. Safe to call twice."""
        with captured():  # debugfs may be missing; then nothing was registered there
            while self._detach:
                self._detach.pop()()


def resolved(file: str, symbol: str, pid: int = 0) -> tuple[bytes, int]:
    """Return the full path of a program or library, and where a symbol is in it.

    Parameters
    ----------
    file : str
        A path, or a library's name without ``lib`` and suffix, such as ``c``.
    symbol : str
        A name, or an address such as ``0x1234``.
    pid : int
        The process whose library of that name is meant; 0: the system's.

    Raises
    ------
    AttachError
    """
    _need_file(file, pid)
    found = Symbol()
    address = int(symbol, 0) if symbol.startswith("0x") else 0
    name = b"" if address else symbol.encode()
    failed = lib().bcc_resolve_symname(file.encode(), name, address, pid, None, c.byref(found))
    if failed:
        raise AttachError(
            f"There is no function {symbol} in {file}.",
            why="its symbol tables do not name it",
            advice="A stripped file names only what it exports: nm -D FILE. Its debug package, "
            "or an address (0x...), helps.",
        )
    path = c.string_at(found.module)
    lib().bcc_procutils_free(found.module)
    return path, int(found.offset)


def _need_file(file: str, pid: int) -> None:
    if "/" in file:
        if not Path(file).is_file():
            raise AttachError(
                f"There is no file {file}.",
                advice="Of a file that was deleted while a process runs it: /proc/PID/exe.",
            )
        return
    path = lib().bcc_procutils_which_so(file.encode(), pid)
    if not path:
        raise AttachError(
            f"There is no library {file}.",
            why=f"the dynamic linker's cache has no lib{file}.so"
            + (f", and process {pid} has not mapped one" if pid else ""),
            advice="Give the full path of the file: ldconfig -p lists libraries.",
        )
    lib().bcc_procutils_free(path)


def _advice(kind: str, where: str) -> str:
    if kind in ("kprobe", "kretprobe") and support.KPROBE_PMU.exists():
        return f"Is {where} in /proc/kallsyms, and not in the kernel's blacklist of kprobes?"
    trampoline = "This kernel refuses it: it takes CONFIG_FUNCTION_TRACER and a BPF trampoline."
    kprobe = (
        "This kernel has no kprobes (CONFIG_KPROBE_EVENTS). A tracepoint may do: "
        "bpftrace -l 'tracepoint:*' lists them."
    )
    return {
        "kprobe": kprobe,
        "kretprobe": kprobe,
        "rawtp": f"Has this kernel a tracepoint {where}? bpftrace -l 'tracepoint:*' lists them.",
        "fentry": trampoline,
        "fexit": trampoline,
        "lsm": "Security hooks take CONFIG_BPF_LSM, and bpf among the kernel's lsm= parameter.",
        "perf": "Virtual machines often have no hardware counters; cpu-clock works everywhere.",
    }.get(kind, "")
