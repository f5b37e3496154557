"""Reading and writing loaded maps, whoever made them.

Keys and values are bytes of exactly the map's sizes, or numpy arrays of them; a wrong size is an
error here, as the kernel would read beyond a short buffer.
"""

from __future__ import annotations

import ctypes as c
import errno
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MapError
from workbench.probe.clib import errno_text, last_errno, lib, not_permitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

# enum bpf_map_type, include/uapi/linux/bpf.h
HASH, ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_HASH, PERCPU_ARRAY = 1, 2, 3, 4, 5, 6
STACK_TRACE, CGROUP_ARRAY, LRU_HASH, LRU_PERCPU_HASH, LPM_TRIE = 7, 8, 9, 10, 11
ARRAY_OF_MAPS, HASH_OF_MAPS, QUEUE, STACK, RINGBUF = 12, 13, 22, 23, 27

PER_CPU = {PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH}
QUEUES = {QUEUE, STACK}

# Flags of an update.
ANY, NOEXIST, EXIST = 0, 1, 2

BATCH = 4096
_NO_BATCH = {errno.EOPNOTSUPP, 524, errno.EINVAL}
"""What a map type without batches says; 524 is the kernel's own ENOTSUPP, which older ones leak."""


class MapAccess:
    """What can be done with a map; subclasses say which map it is.

    Attributes
    ----------
    fd : int
        Its descriptor, -1 while there is none.
    type : int
        ``enum bpf_map_type``.
    key_size, value_size : int
        Bytes; for per-CPU maps those of one CPU's value.
    max_entries : int
        Capacity.
    """

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...  # noqa: D102
        @property
        def fd(self) -> int: ...  # noqa: D102
        @property
        def type(self) -> int: ...  # noqa: D102
        @property
        def key_size(self) -> int: ...  # noqa: D102
        @property
        def value_size(self) -> int: ...  # noqa: D102
        @property
        def max_entries(self) -> int: ...  # noqa: D102

    @property
    def stride(self) -> int:
        """Bytes of all that one key holds: for per-CPU maps every CPU's value, rounded up to 8."""
        if self.type in PER_CPU:
            return -(-self.value_size // 8) * 8 * possible_cpus()
        return self.value_size

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None; for per-CPU maps all CPUs' values in a row."""
        self._sized(key, self.key_size, "key")
        value = c.create_string_buffer(max(self.stride, 1))
        if lib().bpf_map_lookup_elem(self.fd, key, value) == 0:
            return value.raw[: self.stride]
        if last_errno() == errno.ENOENT:
            return None
        raise self._error("read")

    def update(self, key: bytes, value: bytes, flags: int = ANY) -> None:
        """Set the value of a key.

        Parameters
        ----------
        key, value : bytes
        flags : int
            ``NOEXIST``: only a new key, ``EXIST``: only one that is there.

        Raises
        ------
        MapError
            Wrong sizes, or the map is full.
        """
        self._sized(key, self.key_size, "key")
        self._sized(value, self.stride, "value")
        self._check(lib().bpf_map_update_elem(self.fd, key, value, flags), "written")

    def delete(self, key: bytes) -> bool:
        """Remove a key; False if it was not there."""
        self._sized(key, self.key_size, "key")
        if lib().bpf_map_delete_elem(self.fd, key) == 0:
            return True
        if last_errno() == errno.ENOENT:
            return False
        raise self._error("written")

    def push(self, value: bytes) -> None:
        """Add a value to a queue or stack.

        Raises
        ------
        MapError
            Wrong size, full, or the map is neither.
        """
        self._is_queue()
        self._sized(value, self.value_size, "value")
        self._check(lib().bpf_map_update_elem(self.fd, None, value, ANY), "written")

    def peek(self) -> bytes | None:
        """Return the next value of a queue or stack, which stays; None if there is none."""
        return self._next(lib().bpf_map_lookup_elem)

    def pop(self) -> bytes | None:
        """Take the next value out of a queue or stack; None if there is none."""
        return self._next(lib().bpf_map_lookup_and_delete_elem)

    def items(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """All entries of a map with keys, in batches where its type has them (Linux 5.6).

        Returns
        -------
        keys : uint8 array of shape (entries, key_size)
        values : uint8 array of shape (entries, value_size)
            For per-CPU maps (entries, CPUs * value_size rounded up to 8).
        """
        keys, values = [], []
        token = c.create_string_buffer(max(self.key_size, 8))
        first, size = True, BATCH
        while True:
            k = np.empty((size, self.key_size), np.uint8)
            v = np.empty((size, self.stride), np.uint8)
            count = c.c_uint32(size)
            at = (None if first else token, token, k.ctypes.data, v.ctypes.data)
            err = lib().bpf_map_lookup_batch(self.fd, *at, c.byref(count), None)
            number = last_errno() if err else 0
            if number == errno.ENOSPC:  # one bucket holds more than a batch
                size *= 4
                continue
            if number in _NO_BATCH and first:
                return self._items_one_by_one()
            if number not in (0, errno.ENOENT):
                raise self._error("read")
            keys.append(k[: count.value])
            values.append(v[: count.value])
            first = False
            if err:
                return np.concatenate(keys), np.concatenate(values)

    def _items_one_by_one(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """For types without batches (LPM tries before 5.18, stack traces): key after key."""
        keys: list[bytes] = []
        values: list[bytes] = []
        at: bytes | None = None
        following = c.create_string_buffer(max(self.key_size, 1))
        seen = 0
        while lib().bpf_map_get_next_key(self.fd, at, following) == 0:
            at = following.raw[: self.key_size]
            value = self.lookup(at)
            if value is not None:  # removed meanwhile
                keys.append(at)
                values.append(value)
            # When a key is removed meanwhile, the kernel begins again with the first one.
            seen += 1
            if seen > 4 * self.max_entries:
                break
        else:
            if last_errno() != errno.ENOENT:
                raise self._error("read")
        unique = dict(zip(keys, values, strict=True))
        joined = (b"".join(unique), b"".join(unique.values()))
        shapes = ((len(unique), self.key_size), (len(unique), self.stride))
        k, v = (np.frombuffer(d, np.uint8).reshape(s) for d, s in zip(joined, shapes, strict=True))
        return k, v

    def update_batch(self, keys: NDArray[np.uint8], values: NDArray[np.uint8]) -> None:
        """Set the values of many keys, in one system call where the map's type has batches.

        Parameters
        ----------
        keys : uint8 array of shape (n, key_size)
        values : uint8 array of shape (n, value_size), for per-CPU maps as :meth:`items` gives it

        Raises
        ------
        MapError
            Wrong shapes, or the map is full; what was written before that stays.
        """
        keys, values = self._rows(keys, self.key_size, "key"), self._rows(values, self.stride)
        if len(keys) != len(values):
            raise MapError(f"Map {self.name}: {len(keys)} keys, but {len(values)} values.")
        if not len(keys):
            return
        count = c.c_uint32(len(keys))
        at = (keys.ctypes.data, values.ctypes.data, c.byref(count), None)
        if lib().bpf_map_update_batch(self.fd, *at) == 0:
            return
        if last_errno() not in _NO_BATCH:
            raise self._error("written")
        for key, value in zip(keys, values, strict=True):
            self.update(key.tobytes(), value.tobytes())

    def delete_batch(self, keys: NDArray[np.uint8]) -> int:
        """Remove many keys; return how many were there."""
        keys = self._rows(keys, self.key_size, "key")
        if not len(keys):
            return 0
        at = gone = 0
        while at < len(keys):
            rest = keys[at:]
            count = c.c_uint32(len(rest))
            err = lib().bpf_map_delete_batch(self.fd, rest.ctypes.data, c.byref(count), None)
            number = last_errno() if err else 0
            if number in _NO_BATCH:
                return gone + sum(self.delete(key.tobytes()) for key in rest)
            if number not in (0, errno.ENOENT):
                raise self._error("written")
            gone += count.value
            at += count.value + 1  # a batch ends at the first key that is missing
        return gone

    def _next(self, call: Any) -> bytes | None:
        self._is_queue()
        value = c.create_string_buffer(self.value_size)
        if call(self.fd, None, value) == 0:
            return value.raw
        if last_errno() == errno.ENOENT:
            return None
        raise self._error("read")

    def _is_queue(self) -> None:
        if self.type not in QUEUES:
            raise MapError(f"Map {self.name} is neither a queue nor a stack.")

    def _rows(self, data: NDArray[np.uint8], size: int, what: str = "value") -> NDArray[np.uint8]:
        if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != size:
            got = f"{data.dtype} of shape {data.shape}"
            raise MapError(f"Map {self.name} has {what}s of {size} bytes, not {got}.")
        return np.ascontiguousarray(data)

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


def possible_cpus() -> int:
    """CPUs that this machine may ever have: so many values a per-CPU map holds."""
    return int(lib().libbpf_num_possible_cpus())
