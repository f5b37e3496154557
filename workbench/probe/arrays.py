"""Arrays made at run time: the inner maps of an array of maps, filled through memory.

An inner map lives as long as the array of maps holds it or a program uses it, so its descriptor
is closed as soon as it is in place.
"""

from __future__ import annotations

import ctypes as c
import errno
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import MapError
from workbench.probe.clib import errno_text, last_errno, lib, not_permitted
from workbench.probe.map_access import ARRAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.probe.maps import Map

# include/uapi/linux/bpf.h
MMAPABLE = 1 << 10
INNER_MAP = 1 << 12


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

    The kernel waits for its programs once for each call, some milliseconds.

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


def _error(what: str, number: int) -> Exception:
    if number == errno.EPERM:
        return not_permitted(what, number)
    return MapError(what, why=errno_text(number))
