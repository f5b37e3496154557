"""libdw's reading of ``.eh_frame``: what unwind tables are compared with.

Prototypes: libelf.h and libdw.h of elfutils 0.188.
"""

from __future__ import annotations

import ctypes as c
import ctypes.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

P, U64 = c.c_void_p, c.c_uint64
_RBX, _RBP, _RETURN = 3, 6, 16
_ELF_C_READ = 1


class Operation(c.Structure):
    """Dwarf_Op."""

    _fields_ = (("atom", c.c_uint8), ("number", U64), ("number2", U64), ("offset", U64))


_OPS = c.POINTER(Operation)
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "elf_begin": (P, c.c_int, c.c_int, P),
    "elf_end": (c.c_int, P),
    "dwarf_getcfi_elf": (P, P),
    "dwarf_cfi_end": (c.c_int, P),
    "dwarf_getcfi": (P, P),
    "dwarf_begin_elf": (P, P, c.c_int, P),
    "dwarf_cfi_addrframe": (c.c_int, P, U64, c.POINTER(P)),
    "dwarf_frame_info": (c.c_int, P, c.POINTER(U64), c.POINTER(U64), c.POINTER(c.c_bool)),
    "dwarf_frame_cfa": (c.c_int, P, c.POINTER(_OPS), c.POINTER(c.c_size_t)),
    "dwarf_frame_register": (c.c_int, P, c.c_int, _OPS, c.POINTER(_OPS), c.POINTER(c.c_size_t)),
}
Ops = tuple[tuple[int, int, int], ...]


def library() -> Any:
    """Return libdw (libelf's functions with it) with prototypes, or None."""
    try:
        found = c.CDLL(ctypes.util.find_library("dw") or "libdw.so.1")
        elf = c.CDLL(ctypes.util.find_library("elf") or "libelf.so.1")
    except OSError:
        return None
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(elf if name.startswith("elf_") else found, name)
        function.restype, function.argtypes = result, arguments
        setattr(found, name, function)
    elf.elf_version(1)
    return found


class Frames:
    """Frames of a file by address.

    Parameters
    ----------
    path : path
    debug : bool
        Read ``.debug_frame`` instead of ``.eh_frame``.
    """

    def __init__(self, path: Path | str, *, debug: bool = False) -> None:
        self._dw = library()
        self._fd = os.open(path, os.O_RDONLY)
        self._elf = self._dw.elf_begin(self._fd, _ELF_C_READ, None)
        if debug:
            self._cfi = self._dw.dwarf_getcfi(self._dw.dwarf_begin_elf(self._elf, 0, None))
        else:
            self._cfi = self._dw.dwarf_getcfi_elf(self._elf)
        assert self._cfi

    def at(self, address: int) -> tuple[int, int, Ops, Ops | None, Ops, Ops | None] | None:
        """Return what holds: start, end, and the places of CFA, rbp, return address and rbx.

        A place is a DWARF expression. () is no place: undefined, or as it was for None.
        """
        frame, start, end, signal = P(), U64(), U64(), c.c_bool()
        if self._dw.dwarf_cfi_addrframe(self._cfi, address, c.byref(frame)):
            return None
        self._dw.dwarf_frame_info(frame, c.byref(start), c.byref(end), c.byref(signal))
        ops, count = _OPS(), c.c_size_t()
        bad = self._dw.dwarf_frame_cfa(frame, c.byref(ops), c.byref(count))
        cfa = () if bad else _read(ops, count)
        places = [self._register(frame, number) for number in (_RBP, _RETURN, _RBX)]
        c.CDLL(None).free(frame)
        return start.value, end.value, cfa, places[0], places[1] or (), places[2]

    def _register(self, frame: Any, number: int) -> Ops | None:
        memory, ops, count = (Operation * 3)(), _OPS(), c.c_size_t()
        assert not self._dw.dwarf_frame_register(
            frame, number, memory, c.byref(ops), c.byref(count)
        )
        if not count.value:
            return () if c.cast(ops, P).value else None  # undefined; same value
        return _read(ops, count)


def _read(ops: Any, count: c.c_size_t) -> Ops:
    """Return the operations with their operands; 64-bit numbers are signed."""
    found = (ops[i] for i in range(count.value))
    return tuple((op.atom, _signed(op.number), _signed(op.number2)) for op in found)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def walk(frames: Frames, starts: list[int], end: int) -> Iterator[tuple[int, int, Any]]:
    """Yield each stretch of code with what holds there, None for code without FDE.

    Parameters
    ----------
    frames : Frames
    starts : list of int
        Addresses where something may begin, sorted.
    end : int
        Where to stop.
    """
    for here, following in zip(starts, [*starts[1:], end], strict=True):
        at = here
        while at < following:
            found = frames.at(at)
            stop = min(found[1], following) if found else following
            yield at, stop, found
            at = max(stop, at + 1)
