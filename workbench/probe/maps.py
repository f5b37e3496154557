"""Maps of a BPF object: sized before loading, read and written after it.

Keys and values are bytes of exactly the map's sizes, or numpy arrays of them; a wrong size is an
error here, as the kernel would read beyond a short buffer.
"""

from __future__ import annotations

import ctypes as c
import errno
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MapError
from workbench.probe.clib import errno_text, last_errno, lib, not_permitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

# enum bpf_map_type, include/uapi/linux/bpf.h
HASH, ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_HASH, PERCPU_ARRAY = 1, 2, 3, 4, 5, 6
LRU_PERCPU_HASH = 10
RINGBUF = 27
_PER_CPU = {PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH}

BATCH = 4096


@dataclass(frozen=True)
class Map:
    """A map; ``fd`` is -1 until its object is loaded."""

    handle: int
    name: str

    @property
    def fd(self) -> int:
        """File descriptor, or -1."""
        return int(lib().bpf_map__fd(self.handle))

    @property
    def type(self) -> int:
        """``enum bpf_map_type``."""
        return int(lib().bpf_map__type(self.handle))

    @property
    def key_size(self) -> int:
        """Bytes of a key."""
        return int(lib().bpf_map__key_size(self.handle))

    @property
    def value_size(self) -> int:
        """Bytes of a value, for per-CPU maps of one CPU's value."""
        return int(lib().bpf_map__value_size(self.handle))

    @property
    def max_entries(self) -> int:
        """Capacity: entries, or bytes of a ring buffer."""
        return int(lib().bpf_map__max_entries(self.handle))

    def resize(self, max_entries: int) -> None:
        """Set the capacity before loading.

        Raises
        ------
        MapError
        """
        if not 0 < max_entries < 1 << 32:
            raise MapError(f"Map {self.name} cannot have {max_entries} entries.")
        self._check(lib().bpf_map__set_max_entries(self.handle, max_entries), "resized")

    def resize_items(self, key_size: int, value_size: int) -> None:
        """Set the sizes of keys and values in bytes before loading.

        Raises
        ------
        MapError
        """
        self._check(lib().bpf_map__set_key_size(self.handle, key_size), "resized")
        self._check(lib().bpf_map__set_value_size(self.handle, value_size), "resized")

    def share(self, other: Map) -> None:
        """Use the loaded map ``other`` instead of an own one, set before loading."""
        mine = (self.type, self.key_size, self.value_size)
        if mine != (other.type, other.key_size, other.value_size):
            raise MapError(f"Map {self.name} differs in type or sizes from the one to share.")
        self._check(lib().bpf_map__reuse_fd(self.handle, other.fd), "shared")

    def leave_out(self) -> None:
        """Do not create this map: for kernels that do not know its type."""
        self._check(lib().bpf_map__set_autocreate(self.handle, False), "left out")

    def initial(self) -> NDArray[np.uint8]:
        """Content of a global data map before loading, to be changed in place."""
        size = c.c_size_t()
        address = lib().bpf_map__initial_value(self.handle, c.byref(size))
        if not address:
            raise MapError(f"Map {self.name} has no initial content.")
        block = (c.c_uint8 * size.value).from_address(address)
        return np.ctypeslib.as_array(block)

    def memory(self) -> NDArray[np.uint8]:
        """Content of a loaded global data map, shared with the kernel: no copy, read-only.

        Raises
        ------
        MapError
            The map is not loaded, or cannot be mapped (``BPF_F_MMAPABLE``, Linux 5.5).
        """
        if self.fd < 0:  # which mmap takes for "any memory"
            raise MapError(f"Map {self.name} cannot be mapped.", why="it is not loaded")
        try:
            area = mmap.mmap(self.fd, self.value_size, mmap.MAP_SHARED, mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise MapError(f"Map {self.name} cannot be mapped.", why=str(error)) from error
        return np.frombuffer(area, np.uint8)

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None; for per-CPU maps all CPUs' values in a row."""
        self._sized(key, self.key_size, "key")
        value = c.create_string_buffer(self._stride())
        if lib().bpf_map_lookup_elem(self.fd, key, value) == 0:
            return value.raw
        if last_errno() == errno.ENOENT:
            return None
        raise self._error("read")

    def update(self, key: bytes, value: bytes) -> None:
        """Set the value of a key.

        Raises
        ------
        MapError
            Wrong sizes, or the map is full.
        """
        self._sized(key, self.key_size, "key")
        self._sized(value, self._stride(), "value")
        self._check(lib().bpf_map_update_elem(self.fd, key, value, 0), "written")

    def delete(self, key: bytes) -> bool:
        """Remove a key; False if it was not there."""
        self._sized(key, self.key_size, "key")
        if lib().bpf_map_delete_elem(self.fd, key) == 0:
            return True
        if last_errno() == errno.ENOENT:
            return False
        raise self._error("written")

    def items(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """All entries of a hash or array, fetched in batches (Linux 5.6).

        Returns
        -------
        keys : uint8 array of shape (entries, key_size)
        values : uint8 array of shape (entries, value_size)
            For per-CPU maps (entries, CPUs * value_size rounded up to 8).
        """
        keys, values = [], []
        key_size, stride = self.key_size, self._stride()
        token = c.create_string_buffer(max(key_size, 8))
        first, size = True, BATCH
        while True:
            k = np.empty((size, key_size), np.uint8)
            v = np.empty((size, stride), np.uint8)
            count = c.c_uint32(size)
            err = lib().bpf_map_lookup_batch(
                self.fd,
                None if first else token,
                token,
                k.ctypes.data,
                v.ctypes.data,
                c.byref(count),
                None,
            )
            if err and last_errno() == errno.ENOSPC:  # one bucket holds more than a batch
                size *= 4
                continue
            if err and last_errno() != errno.ENOENT:
                raise self._error("read")
            keys.append(k[: count.value])
            values.append(v[: count.value])
            first = False
            if err:
                return np.concatenate(keys), np.concatenate(values)

    def _stride(self) -> int:
        if self.type in _PER_CPU:
            return -(-self.value_size // 8) * 8 * int(lib().libbpf_num_possible_cpus())
        return self.value_size

    def _sized(self, data: bytes, size: int, what: str) -> None:
        if len(data) != size:
            raise MapError(f"Map {self.name} has a {what} of {size} bytes, not {len(data)}.")

    def _check(self, err: int, verb: str) -> None:
        if err:
            raise self._error(verb)

    def _error(self, verb: str) -> Exception:
        number = last_errno()
        what = f"Map {self.name} cannot be {verb}."
        if number == errno.EPERM:
            return not_permitted(what, number)
        full = number in (errno.E2BIG, errno.ENOSPC)
        advice = f"It is full: {self.max_entries} entries." if full else ""
        return MapError(what, why=errno_text(number), advice=advice)


def create_ring(size: int) -> int:
    """Make a ring buffer and return its descriptor, which the caller closes.

    Parameters
    ----------
    size : int
        Bytes: a power of two, a multiple of the page size.

    Raises
    ------
    MapError, NotPermittedError
    """
    fd = int(lib().bpf_map_create(RINGBUF, b"wb_ring", 0, 0, size, None))
    if fd >= 0:
        return fd
    what = f"A ring buffer of {size} bytes cannot be made."
    if -fd == errno.EPERM:
        raise not_permitted(what, -fd)
    raise MapError(what, why=errno_text(-fd), advice="Its size must be a power of two, from 4096.")


def rows(data: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    """View rows of bytes, as :meth:`Map.items` gives them, as records of ``dtype``.

    Raises
    ------
    MapError
        The sizes differ.
    """
    if data.shape[1] != dtype.itemsize:
        raise MapError(f"Rows of {data.shape[1]} bytes are not records of {dtype.itemsize} bytes.")
    return np.ascontiguousarray(data).view(dtype)[:, 0]
