"""Maps of a BPF object: sized before loading, read and written after it."""

from __future__ import annotations

import ctypes as c
import errno
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MapError
from workbench.probe.clib import errno_text, lib, not_permitted
from workbench.probe.map_access import RINGBUF, MapAccess

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Map(MapAccess):
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
