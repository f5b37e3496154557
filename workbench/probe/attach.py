"""Attaching programs to places that are chosen at run time.

Each function returns a :class:`~workbench.probe.objects.Link`; hand it to
:meth:`~workbench.probe.objects.Object.hold` or close it yourself. None but :func:`tracepoint`
needs tracefs. What cannot be attached is an :class:`~workbench.errors.AttachError` that says why
and what would work instead, or a :class:`~workbench.errors.NotPermittedError`.
"""

from __future__ import annotations

import ctypes as c
import errno
import platform
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import AttachError
from workbench.probe import perf_event, privileges, support, tracefs, tracepoints
from workbench.probe.clib import errno_text, last_errno, lib, log_capture, not_permitted
from workbench.probe.objects import Link, tail
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.probe.objects import Program

KALLSYMS = Path("/proc/kallsyms")
UPROBE_PMU = Path("/sys/bus/event_source/devices/uprobe")  # CONFIG_UPROBE_EVENTS
_REFUSED = {
    # kernel/kprobes.c (check_kprobe_address_safe) and kernel/trace/trace_kprobe.c
    errno.EINVAL: "the kernel keeps probes out of this function: it is marked notrace or nokprobe "
    "(/sys/kernel/debug/kprobes/blacklist), or lies in code that handles probes itself",
    # arch/x86/kernel/kprobes/core.c, can_probe()
    errno.EILSEQ: "no instruction begins at that byte",
}
_SYSCALL_PREFIXES = ("__x64_sys_", "__arm64_sys_", "__se_sys_", "__do_sys_", "ksys_", "sys_")


# libbpf.h, struct bpf_uprobe_opts and struct bpf_kprobe_opts of libbpf 1.0
class _UprobeOptions(c.Structure):
    _fields_ = (
        ("sz", c.c_size_t),
        ("ref_ctr_offset", c.c_size_t),
        ("bpf_cookie", c.c_uint64),
        ("retprobe", c.c_bool),
        ("func_name", c.c_char_p),
    )


class _KprobeOptions(c.Structure):
    _fields_ = (
        ("sz", c.c_size_t),
        ("bpf_cookie", c.c_uint64),
        ("offset", c.c_size_t),
        ("retprobe", c.c_bool),
    )


def uprobe(
    program: Program,
    path: str,
    offset: int,
    *,
    returns: bool = False,
    pid: int = -1,
    semaphore: int = 0,
    cookie: int = 0,
) -> Link:
    """Attach to an instruction of a file, in every process that maps it.

    Parameters
    ----------
    program : Program
        Of a section ``uprobe`` or ``kprobe``; loaded.
    path : str
        The file. :func:`workbench.symbols.places.find` gives offset and path of a symbol.
    offset : int
        In the file, in bytes.
    returns : bool
        Run when the function that begins there returns.
    pid : int
        Only in this process, not in its children; -1: in all.
    semaphore : int
        File offset of a USDT semaphore, which the kernel counts up while attached (Linux 4.20).
    cookie : int
        What ``bpf_get_attach_cookie()`` returns in the program (Linux 5.15); 0: none.
    """
    if not UPROBE_PMU.exists():
        raise AttachError(
            f"The probe on {path} cannot be attached.",
            why="this kernel has no uprobes (CONFIG_UPROBE_EVENTS)",
            advice="Use a tracepoint of the kernel, or the kinds cpu and syscalls with stacks.",
        )
    options = _UprobeOptions(c.sizeof(_UprobeOptions), semaphore, cookie, returns, None)
    call = lib().bpf_program__attach_uprobe_opts
    return _attached(
        f"The probe on {path} at offset {offset:#x} cannot be attached.",
        lambda: call(program.handle, pid, path.encode(), offset, c.byref(options)),
        "Is that the first byte of an instruction of an executable file, and can it be mapped "
        "(not on a file system without page cache)?",
    )


def kprobe(
    program: Program, function: str, *, offset: int = 0, returns: bool = False, cookie: int = 0
) -> Link:
    """Attach to a function of the kernel, by the perf PMU ``kprobe``.

    Parameters
    ----------
    program : Program
        Of a section ``kprobe``; loaded.
    offset : int
        Bytes behind its start; 0 with ``returns``.
    returns : bool
        Run when it returns.
    """
    what = f"The probe on the kernel's function {function} cannot be attached."
    if not support.KPROBE_PMU.exists():
        raise AttachError(
            what,
            why="this kernel has no kprobes (CONFIG_KPROBE_EVENTS)",
            advice=instead(function),
        )
    _need_function(function, what)
    options = _KprobeOptions(c.sizeof(_KprobeOptions), cookie, offset, returns)
    call = lib().bpf_program__attach_kprobe_opts
    return _attached(
        what,
        lambda: call(program.handle, function.encode(), c.byref(options)),
        f"Probe its entry, or a function that calls it. {instead(function)}",
        _REFUSED,
    )


def tracepoint(program: Program, category: str, name: str) -> Link:
    """Attach to a tracepoint of tracefs.

    Parameters
    ----------
    program : Program
        Of a section ``tracepoint``; loaded.
    """
    number, _ = tracefs.read(category, name)
    fd = perf_event.open_tracepoint(number, f"The tracepoint {category}:{name}")
    return program.attach_perf_event(fd)


def raw_tracepoint(program: Program, name: str) -> Link:
    """Attach to a tracepoint by its name, without tracefs.

    Parameters
    ----------
    program : Program
        Of a section ``raw_tp``; loaded.
    """
    what = f"The raw tracepoint {name} cannot be attached."
    if not tracepoints.has(name):
        raise AttachError(what, why="this kernel has none of that name", advice=similar(name))
    call = lib().bpf_program__attach_raw_tracepoint
    return _attached(what, lambda: call(program.handle, name.encode()), similar(name))


def aim(program: Program, section: str, name: str) -> None:
    """Say what a program of the section ``tp_btf``, ``fentry`` or ``fexit`` attaches to.

    To be called before loading; :func:`~workbench.probe.objects.Object.attach` attaches it then.

    Raises
    ------
    AttachError
        The kernel's BTF has no such tracepoint or function.
    """
    what = f"{section}:{name} cannot be attached."
    if section == "tp_btf":
        if not tracepoints.has(name):
            raise AttachError(what, why="this kernel has no such tracepoint", advice=similar(name))
    elif not tracepoints.has_function(name):
        advice = " ".join(filter(None, (_close_functions(name), instead(name))))
        raise AttachError(what, why="the kernel's BTF has no such function", advice=advice)
    with log_capture() as log:
        error = lib().bpf_program__set_attach_target(program.handle, 0, name.encode())
    if error:
        why = f"{errno_text(-error)}. {tail(log)}".strip()
        raise AttachError(what, why=why, advice=instead(name))


_NO_PLACE = "EBUSY"  # bpf_arch_text_poke() finds no nop: arch/x86/net/bpf_jit_comp.c


def refused_tracing(section: str, name: str, error: Exception) -> AttachError:
    """Return the error for a fentry or fexit program that the kernel did not load or attach."""
    known = privileges.lockdown()
    detail = getattr(error, "why", "").splitlines()
    if detail and detail[0].startswith(_NO_PLACE):
        return AttachError(
            f"{section}:{name} cannot be attached.",
            why="the function has no place for a trampoline at its entry: it is marked notrace, or "
            f"is written in assembler; the kernel said: {detail[0]}",
            advice=f"Probe a function that calls it. {instead(name)}",
        )
    why = "this kernel refuses programs of that type (no trampolines: CONFIG_FUNCTION_TRACER with "
    why += f"CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, or lockdown={known or 'unknown'})"
    return AttachError(
        f"{section}:{name} cannot be attached.",
        why=f"{why}; it said: {detail[0] if detail else error}",
        advice=instead(name, kprobes=True),
    )


def instead(function: str, *, kprobes: bool = False) -> str:
    """Say what would work in place of a probe on a function of the kernel."""
    ways = [f"kprobe:{function}"] if kprobes and support.KPROBE_PMU.exists() else []
    bare = function
    for prefix in _SYSCALL_PREFIXES:
        bare = bare.removeprefix(prefix)
    calls = number_of(platform.machine())
    for word in dict.fromkeys((bare, bare.partition("_")[2], bare.rpartition("_")[2])):
        if word in calls:
            ways += [f"tracepoint:syscalls:sys_enter_{word} (and sys_exit_{word})"]
    ways += [f"rawtp:{name}" for name in tracepoints.similar(bare, cutoff=0.7)]
    if not ways:
        return "Use a tracepoint: tracepoint:CATEGORY:NAME, or rawtp:NAME."
    return f"Such probes work here: {', '.join(ways)}."


def similar(name: str) -> str:
    """Say which tracepoints have names like that."""
    found = tracepoints.similar(name)
    return (
        f"Similar: {', '.join(found)}."
        if found
        else "`ls /sys/kernel/tracing/events/*` lists them."
    )


def _need_function(name: str, what: str) -> None:
    names = kernel_functions()
    if names and name not in names:
        close = get_close_matches(name, names, 5, 0.7)
        parts = [each for each in names if each.startswith(f"{name}.")]
        advice = f"Similar: {', '.join([*parts, *close][:5])}. " if parts or close else ""
        why = "the kernel has no function of that name; the compiler may have inlined it"
        raise AttachError(what, why=why, advice=f"{advice}{instead(name)}")


def kernel_functions(path: Path = KALLSYMS) -> set[str]:
    """Return the names of the kernel's functions; empty where they are hidden."""
    try:
        lines = (line.split(None, 3) for line in path.read_text().splitlines())
    except OSError:
        return set()
    return {words[2] for words in lines if len(words) > 2 and words[1] in "tTwW"}


def _close_functions(name: str) -> str:
    close = get_close_matches(name, kernel_functions(), 5, 0.7)
    return f"Similar: {', '.join(close)}." if close else ""


def _attached(
    what: str, call: Callable[[], Any], advice: str, reasons: Mapping[int, str] | None = None
) -> Link:
    with log_capture() as log:
        handle = call()
        number = last_errno()
    if handle:
        return Link(handle)
    if number in (errno.EPERM, errno.EACCES):
        raise not_permitted(what, number)
    said = f"{errno_text(number)}. {tail(log)}".strip()
    reason = (reasons or {}).get(number, "")
    why = f"{reason}; the kernel said: {said}" if reason else said
    raise AttachError(what, why=why, advice=advice)
