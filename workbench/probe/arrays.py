"""Arrays made at run time: the inner maps of an array of maps, filled through memory.

An inner map lives as long as the array of maps holds it or a program uses it, so its descriptor
is closed as soon as it is in place.
"""

from __future__ import annotations

import ctypes as c
import errno
import mmap
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.errors import MapError
from workbench.probe.clib import errno_text, last_errno, lib, not_permitted
from workbench.probe.map_access import ARRAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from workbench.probe.maps import Map

# include/uapi/linux/bpf.h
MMAPABLE = 1 << 10
INNER_MAP = 1 << 12

MAX_WAITS = 8
"""Changes of an array of maps that are waited for at the same time."""
_T = TypeVar("_T")


class _CreateOpts(c.Structure):
    """``struct bpf_map_create_opts`` of libbpf 1.0 (``src/bpf.h``)."""

    _fields_ = (
        ("sz", c.c_size_t),
        ("btf_fd", c.c_uint32),
        ("btf_key_type_id", c.c_uint32),
        ("btf_value_type_id", c.c_uint32),
        ("btf_vmlinux_value_type_id", c.c_uint32),
        ("inner_map_fd", c.c_uint32),
        ("map_flags", c.c_uint32),
        ("map_extra", c.c_uint64),
        ("numa_node", c.c_uint32),
        ("map_ifindex", c.c_uint32),
    )


def create_array(data: NDArray[np.uint64]) -> int:
    """Make an array of blocks, which may be an inner map, and return its descriptor.

    Parameters
    ----------
    data : uint64 array of shape (entries, words)
        Its content.

    Raises
    ------
    MapError, NotPermittedError
        Among the reasons is that there is no memory.
    """
    entries, words = data.shape
    flags = MMAPABLE | INNER_MAP
    opts = _CreateOpts(sz=c.sizeof(_CreateOpts), map_flags=flags)
    fd = int(lib().bpf_map_create(ARRAY, b"wb_table", 4, 8 * words, entries, c.byref(opts)))
    if fd < 0:
        raise _error(f"An array of {data.nbytes:,} bytes cannot be made.", -fd)
    try:
        with mmap.mmap(fd, data.nbytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as area:
            np.frombuffer(area, np.uint64)[:] = data.reshape(-1)
    except (OSError, ValueError) as error:
        os.close(fd)
        raise MapError("An array of a BPF program cannot be filled.", why=str(error)) from error
    return fd


def set_inner_maps(outer: Map, inner: Mapping[int, int]) -> None:
    """Put maps into an array of maps, all in one system call.

    Programs find them at once. Then the kernel waits for those that may still use what was there
    before, once for each call: 15 to 40 ms (maybe_wait_bpf_programs(), kernel/bpf/syscall.c of
    Linux 6.18). :class:`InnerMaps` goes on meanwhile.

    Parameters
    ----------
    outer : Map
    inner : mapping of int to int
        Index to descriptor.

    Raises
    ------
    MapError, NotPermittedError
    """
    if not inner:
        return
    keys = np.array(list(inner), np.uint32)
    values = np.array(list(inner.values()), np.uint32)
    count = c.c_uint32(len(keys))
    batch = (keys.ctypes.data, values.ctypes.data, c.byref(count), None)
    if lib().bpf_map_update_batch(outer.fd, *batch):
        raise _error(f"Maps cannot be put into {outer.name}.", last_errno())


class InnerMaps:
    """Changes an array of maps without waiting for the kernel to wait for its programs.

    Threads of its own wait instead; there are none before the first change.

    Parameters
    ----------
    outer : Map
    """

    def __init__(self, outer: Map) -> None:
        self._outer = outer
        self._threads = ThreadPoolExecutor(MAX_WAITS, "inner-maps")
        self._waits: list[Future[None]] = []

    @property
    def busy(self) -> bool:
        """Whether a change would be made only after an earlier one has been waited for."""
        return sum(not wait.done() for wait in self._waits) >= MAX_WAITS

    def set(self, inner: Mapping[int, int]) -> None:
        """Put maps in.

        Parameters
        ----------
        inner : mapping of int to int
            Index to descriptor, which is taken over.
        """
        if inner:
            self._begin(self._set, inner)

    def delete(self, indices: Iterable[int]) -> None:
        """Take maps out; an empty place stays so."""
        for index in indices:
            self._begin(self._delete, index)

    def finish(self) -> None:
        """Wait until all changes are made, and no program uses what they have replaced.

        Raises
        ------
        MapError, NotPermittedError
            Of the first change that was not made.
        """
        waits, self._waits = self._waits, []
        for error in [wait.exception() for wait in waits]:
            if error is not None:
                raise error

    def close(self) -> None:
        """Wait until all changes are made, and end the threads. Safe to call twice."""
        self._threads.shutdown()

    def _begin(self, what: Callable[[_T], None], value: _T) -> None:
        self._waits = [wait for wait in self._waits if not wait.done() or wait.exception()]
        self._waits.append(self._threads.submit(what, value))

    def _set(self, inner: Mapping[int, int]) -> None:
        try:
            set_inner_maps(self._outer, inner)
        finally:
            for descriptor in inner.values():
                os.close(descriptor)

    def _delete(self, index: int) -> None:
        self._outer.delete(index.to_bytes(4, sys.byteorder))


def _error(what: str, number: int) -> Exception:
    if number == errno.EPERM:
        return not_permitted(what, number)
    return MapError(what, why=errno_text(number))
