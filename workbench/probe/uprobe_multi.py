"""One link for all places of a file where a program is to run: ``BPF_TRACE_UPROBE_MULTI``.

Since Linux 6.6; asked of the kernel, not of its version. Beside the perf PMU's uprobes
(:func:`workbench.probe.attach.uprobe`) these are detached many at a time: there each one waits for
a grace period of RCU under a lock that all share (``perf_trace_destroy()``). libbpf knows them from
1.3 on, so the system call is made here: ``kernel/trace/bpf_trace.c``,
``bpf_uprobe_multi_link_attach()``.
"""

from __future__ import annotations

import ctypes as c
import errno
import os
import platform
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from workbench.errors import AttachError, WorkbenchError
from workbench.probe.clib import errno_text, lib, libc, not_permitted
from workbench.probe.objects import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workbench.probe.objects import Program

# include/uapi/linux/bpf.h
TRACE_UPROBE_MULTI = 48
ALL = 0
"""Instead of a process: all."""
_PROG_TYPE_KPROBE, _LINK_CREATE, _RETURN = 2, 28, 1
_SYSCALL_NR = {"x86_64": 321, "aarch64": 280}  # bpf(2)
_NOTHING = (c.c_uint64 * 2)(0xB7, 0x95)  # r0 = 0; exit


@dataclass(frozen=True)
class Spot:
    """A place: its offset in the file, see :func:`workbench.probe.attach.uprobe` for the others."""

    offset: int
    semaphore: int = 0
    cookie: int = 0


class DescriptorLink(Link):
    """A link that is a file descriptor of this process."""

    def close(self) -> None:
        """Detach. Safe to call twice."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


class _LinkCreate(c.Structure):  # the member link_create of union bpf_attr
    _fields_ = (
        ("prog_fd", c.c_uint32),
        ("target_fd", c.c_uint32),
        ("attach_type", c.c_uint32),
        ("flags", c.c_uint32),
        ("path", c.c_uint64),
        ("offsets", c.c_uint64),
        ("semaphores", c.c_uint64),
        ("cookies", c.c_uint64),
        ("count", c.c_uint32),
        ("how", c.c_uint32),
        ("pid", c.c_uint32),
        ("pad", c.c_uint32),
    )


class _LoadOptions(c.Structure):  # bpf.h of libbpf, the start of struct bpf_prog_load_opts
    _fields_ = (("sz", c.c_size_t), ("attempts", c.c_int), ("expected_attach_type", c.c_int))


@cache
def available() -> bool:
    """Whether this kernel has such links, and this process may make them."""
    with _nothing() as fd:
        # The root directory is no file to put a probe into: EBADF. Kernels without them refuse
        # the type of link before they look at the path: EINVAL.
        return fd >= 0 and _create(fd, "/", [Spot(0)], returns=False) == -errno.EBADF


@contextmanager
def _nothing() -> Iterator[int]:
    """A program that does nothing, to ask the kernel with; -1 where it cannot be loaded."""
    options = _LoadOptions(c.sizeof(_LoadOptions), 1, TRACE_UPROBE_MULTI)
    try:
        fd = lib().bpf_prog_load(
            _PROG_TYPE_KPROBE, b"wb_nothing", b"GPL", c.byref(_NOTHING), 2, c.byref(options)
        )
    except WorkbenchError:
        fd = -1
    try:
        yield fd
    finally:
        if fd >= 0:
            os.close(fd)


@cache
def available_for_one_process() -> bool:
    """Whether a link to one process is one to all of its threads, too.

    At first (Linux 6.6) it was one to the process' first thread. The kernel that mended this
    (6.10, commit 46ba0e49b642) refuses a negative process before it looks at the path, so that
    this can be asked.
    """
    if not available():
        return False
    with _nothing() as fd:
        return _create(fd, "/", [Spot(0)], returns=False, pid=-1) == -errno.EINVAL


def expect(program: Program) -> None:
    """Have a program of the section ``kprobe`` or ``uprobe`` loaded for :func:`attach`."""
    lib().bpf_program__set_expected_attach_type(program.handle, TRACE_UPROBE_MULTI)


def attach(
    program: Program, path: str, spots: Sequence[Spot], *, returns: bool = False, pid: int = ALL
) -> Link:
    """Attach to instructions of a file, in every process that maps it.

    Parameters
    ----------
    program : Program
        Loaded after :func:`expect`.
    path : str
        The file.
    spots : sequence of Spot
    returns : bool
        Run when the functions that begin there return.
    pid : int
        Only in this process, see :func:`available_for_one_process`. The kernel leaves the
        breakpoints in what it forks.

    Raises
    ------
    AttachError, NotPermittedError
        Nothing is attached then; it names the first place that cannot be.
    """

    def create(some: Sequence[Spot]) -> int:
        return _create(program.fd, path, some, returns=returns, pid=pid)

    fd = create(spots)
    if fd >= 0:
        return DescriptorLink(fd)
    bad, number = _first_bad(create, spots), -fd
    what = f"The probe on {path} at offset {bad.offset:#x} cannot be attached."
    if number in (errno.EPERM, errno.EACCES):
        raise not_permitted(what, number)
    advice = "Is that the first byte of an instruction of an executable file, and can it be mapped "
    advice += "(not on a file system without page cache)?"
    raise AttachError(what, why=errno_text(number), advice=advice)


def _first_bad(create: Callable[[Sequence[Spot]], int], spots: Sequence[Spot]) -> Spot:
    for spot in spots:
        fd = create([spot])
        if fd < 0:
            return spot
        os.close(fd)
    return spots[0]


def _create(
    program: int, path: str, spots: Sequence[Spot], *, returns: bool, pid: int = ALL
) -> int:
    """Make a link; return its descriptor, or the negative error number."""
    if platform.machine() not in _SYSCALL_NR:
        return -errno.EOPNOTSUPP
    words = c.c_uint64 * len(spots)
    name = c.create_string_buffer(os.fsencode(path))
    offsets = words(*(spot.offset for spot in spots))
    semaphores = words(*(spot.semaphore for spot in spots))
    cookies = words(*(spot.cookie for spot in spots))
    attr = _LinkCreate(
        program, 0, TRACE_UPROBE_MULTI, 0, c.addressof(name), c.addressof(offsets),
        c.addressof(semaphores), c.addressof(cookies), len(spots), _RETURN if returns else 0,
        pid & 0xFFFFFFFF,
    )  # fmt: skip
    number = c.c_long(_SYSCALL_NR[platform.machine()])
    fd = int(
        libc().syscall(number, c.c_long(_LINK_CREATE), c.byref(attr), c.c_long(c.sizeof(attr)))
    )
    return fd if fd >= 0 else -c.get_errno()
