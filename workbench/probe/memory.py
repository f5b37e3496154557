"""Memory of mappings that other libraries made."""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from typing import Any


def give_back(address: int, size: int) -> None:
    """Give the pages of a mapped file back; what is used again is read from the file again.

    Parameters
    ----------
    address : int
        Where the mapping starts: a multiple of the page size.
    size : int
        Its length, bytes.

    Raises
    ------
    OSError
        When this is no mapping.
    """
    if size and _madvise()(address, size, mmap.MADV_DONTNEED):
        number = ctypes.get_errno()
        raise OSError(number, f"madvise of {size} bytes at {address:#x}")


@cache
def _madvise() -> Any:
    function = ctypes.CDLL(None, use_errno=True).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function
