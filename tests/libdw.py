"""elfutils' unwinder on registers and a piece of stack: what the tests of stacks compare with.

Prototypes: libdwfl.h of elfutils 0.188.
"""

from __future__ import annotations

import ctypes as c
import ctypes.util
from typing import Any

import numpy as np

P, U64 = c.c_void_p, c.c_uint64
_NEXT = c.CFUNCTYPE(c.c_int, P, P, c.POINTER(P))
_GET = c.CFUNCTYPE(c.c_bool, P, c.c_int, P, c.POINTER(P))
_READ = c.CFUNCTYPE(c.c_bool, P, U64, c.POINTER(U64), P)
_SET = c.CFUNCTYPE(c.c_bool, P, P)
_FRAME = c.CFUNCTYPE(c.c_int, P, P)
_FIND = c.CFUNCTYPE(c.c_int, P, P, P, U64, c.c_char_p, c.c_char_p, c.c_uint32, P)
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "dwfl_begin": (P, P),
    "dwfl_linux_proc_report": (c.c_int, P, c.c_int),
    "dwfl_report_end": (c.c_int, P, P, P),
    "dwfl_attach_state": (c.c_bool, P, P, c.c_int, P, P),
    "dwfl_getthread_frames": (c.c_int, P, c.c_int, _FRAME, P),
    "dwfl_frame_pc": (c.c_bool, P, c.POINTER(U64), c.POINTER(c.c_bool)),
    "dwfl_thread_state_registers": (c.c_bool, P, c.c_int, c.c_uint, P),
    "dwfl_thread_state_register_pc": (None, P, U64),
    "dwfl_errmsg": (c.c_char_p, c.c_int),
    "dwfl_end": (None, P),
}
# DWARF numbers of x86-64 registers (System V psABI, figure 3.36): rbp, rbx, r12 to r15.
_SAVED = (6, 3, 12, 13, 14, 15)
_RSP, _RIP = 7, 16
MAX_FRAMES = 255  # WB_USER_DEPTH


class _Callbacks(c.Structure):
    _fields_ = tuple((n, P) for n in ("elf", "debuginfo", "section_address", "debuginfo_path"))


class _ThreadCallbacks(c.Structure):
    _fields_ = (
        ("next_thread", _NEXT),
        ("get_thread", _GET),
        ("memory_read", _READ),
        ("set_initial_registers", _SET),
        ("detach", P),
        ("thread_detach", P),
    )


def library() -> Any:
    """Return libdw with its prototypes, or None."""
    name = ctypes.util.find_library("dw") or "libdw.so.1"
    try:
        found = c.CDLL(name)
    except OSError:
        return None
    for function, (result, *arguments) in _PROTOTYPES.items():
        getattr(found, function).restype = result
        getattr(found, function).argtypes = arguments
    return found


class Unwinder:
    """Unwinds stacks of a living process from records of ``struct stack_dump``.

    Attributes
    ----------
    cut : bool
        Whether the last unwinding asked for memory that was not dumped.
    """

    def __init__(self, pid: int) -> None:
        self._dw, self._pid = library(), pid
        self.cut = False
        no_debuginfo = _FIND(lambda *_: -1)
        find_elf = c.cast(self._dw.dwfl_linux_proc_find_elf, P)
        callbacks = _Callbacks(find_elf, c.cast(no_debuginfo, P), None, None)
        self._dwfl = self._dw.dwfl_begin(c.byref(callbacks))
        assert self._dw.dwfl_linux_proc_report(self._dwfl, pid) == 0
        self._dw.dwfl_report_end(self._dwfl, None, None)
        threads = _ThreadCallbacks(
            _NEXT(self._next), _GET(lambda _d, tid, *_: tid == pid), _READ(self._read),
            _SET(self._set), None, None,
        )  # fmt: skip
        on_frame = _FRAME(self._frame)
        self._keep = (no_debuginfo, callbacks, threads, on_frame)
        self._on_frame = on_frame
        attached = self._dw.dwfl_attach_state(self._dwfl, None, pid, c.byref(threads), None)
        assert attached, self._dw.dwfl_errmsg(-1)

    def unwind(self, dump: np.void) -> list[tuple[int, bool]]:
        """Return addresses of a stack's frames, leaf first, and whether they are of returns."""
        self._dump, self._frames, self.cut, self._given = dump, [], False, False
        self._memory = dump["memory"][: int(dump["bytes"])].tobytes()
        self._dw.dwfl_getthread_frames(self._dwfl, self._pid, self._on_frame, None)
        return self._frames

    def close(self) -> None:
        """Detach."""
        self._dw.dwfl_end(self._dwfl)

    def _next(self, *_: Any) -> int:
        self._given, first = True, not self._given
        return self._pid if first else 0

    def _read(self, _dwfl: int, address: int, result: Any, _argument: int) -> bool:
        at = address - int(self._dump["start"])
        if not 0 <= at <= len(self._memory) - 8:
            self.cut = True
            return False
        result[0] = int.from_bytes(self._memory[at : at + 8], "little")
        return True

    def _set(self, thread: int, _argument: int) -> bool:
        registers = (U64 * 17)()
        for number, value in zip(_SAVED, self._dump["registers"].tolist(), strict=True):
            registers[number] = value
        registers[_RSP], registers[_RIP] = int(self._dump["sp"]), int(self._dump["ip"])
        return bool(self._dw.dwfl_thread_state_registers(thread, 0, 17, registers))

    def _frame(self, state: int, _argument: int) -> int:
        pc, exact = U64(), c.c_bool()
        self._dw.dwfl_frame_pc(state, c.byref(pc), c.byref(exact))
        self._frames.append((pc.value, not exact.value))
        return int(len(self._frames) >= MAX_FRAMES)
