"""Where the fields of CPython lie that lead to the frames of a thread.

CPython 3.13 and 3.14 tell it themselves: ``_PyRuntime`` starts with ``_Py_DebugOffsets``
(``Include/internal/pycore_runtime.h`` of 3.13, ``pycore_debug_offsets.h`` of 3.14), which is
fixed within a minor version. For 3.11 and 3.12 the numbers stand here. They were taken with
``offsetof`` from the headers of 3.11.7 and 3.12.1 (64-bit, which gives the same on x86-64 and
arm64), and the layout of a minor version does not change after its first release.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

COOKIE = b"xdebugpy"
"""First bytes of ``_Py_DebugOffsets`` (``_Py_Debug_Cookie``)."""
OFFSETS_BYTES = 1024
"""Enough of ``_PyRuntime`` to hold ``_Py_DebugOffsets`` of any known version."""
SUPPORTED = ((3, 11), (3, 12), (3, 13), (3, 14))
BLOCK_BYTES = 256
"""Largest block of fields that the kernel side reads at once (bpf/python.bpf.h)."""
NO_OWNER = 256
"""For ``owner_shim`` of 3.11, whose frames are all Python's."""
_ACTIVE = 1 << 4
"""``_status.active``: fifth bit field (Include/cpython/pystate.h, 3.12 to 3.14)."""


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes; names are those of ``struct wb_python_process``, which documents them."""

    runtime_interpreter: int
    interpreter_next: int
    interpreter_thread: int
    thread_next: int
    thread_id: int
    thread_native_id: int
    thread_frame: int
    frame_code: int
    frame_previous: int
    frame_instruction: int
    frame_owner: int
    code_bytes: int
    code_file: int
    code_name: int
    code_lines: int
    code_first_line: int
    code_version: int
    thread_status: int = 0
    thread_active: int = 0
    thread_previous: int = 0
    thread_interpreter: int = 16
    indirect: int = 0
    indirect_frame: int = 0
    frame_entry: int = 0
    owner_shim: int = 3
    tag: int = 0
    object_type: int = 8
    object_size: int = 16
    bytes_data: int = 32
    text_length: int = 16
    text_state: int = 32
    text_kind: int = 2
    text_ascii: int = 40
    text_compact: int = 56

    @property
    def thread_bytes(self) -> int:
        """Bytes of a thread state that hold all that is read of it."""
        ends = (self.thread_next, self.thread_id, self.thread_native_id, self.thread_frame)
        return max(*ends, self.thread_status, self.thread_previous, self.thread_interpreter) + 8

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame that hold all that is read of it."""
        fields = (self.frame_code, self.frame_previous, self.frame_instruction)
        return max(*(field + 8 for field in fields), (self.frame_owner | 7) + 1)

    def is_sound(self) -> bool:
        """Whether the kernel side can read it: words are aligned, and within its blocks."""
        words = (
            *(self.thread_next, self.thread_id, self.thread_native_id, self.thread_frame),
            *(self.thread_previous, self.thread_interpreter),
            *(
                self.frame_code,
                self.frame_previous,
                self.frame_instruction,
                self.thread_status & ~7,
            ),
            *(self.code_bytes, self.code_file, self.code_name, self.code_lines),
            *(self.object_type, self.object_size, self.text_length, self.text_state),
        )
        small = (self.code_first_line, self.code_version, self.frame_owner, self.text_ascii)
        blocks = (self.thread_bytes, self.frame_bytes, self.code_bytes)
        return (
            not any(word % 8 for word in words)
            and max(*words, *small, *blocks, self.text_compact) <= BLOCK_BYTES
            and max(self.code_file, self.code_name, self.code_lines) < self.code_bytes
            and self.text_ascii > max(self.text_length, self.text_state)
            and max(self.runtime_interpreter, self.interpreter_thread) < 1 << 24
            and self.interpreter_next < 1 << 24
        )


_CODE = {"code_file": 112, "code_name": 128, "code_lines": 136, "code_version": 88}
"""``struct PyCodeObject`` (Include/cpython/code.h): co_filename, co_qualname, co_linetable and
the word before co_localsplusnames, which ends in co_version from 3.12 on."""

TABLE = {
    (3, 11): Layout(
        # _PyRuntimeState.interpreters.head (pycore_runtime.h); PyInterpreterState.next and
        # threads.head (pycore_interp.h)
        runtime_interpreter=40,
        interpreter_next=0,
        interpreter_thread=16,
        # PyThreadState: next, thread_id, native_thread_id, cframe (cpython/pystate.h)
        thread_next=8,
        thread_id=152,
        thread_native_id=160,
        thread_frame=56,
        # _PyCFrame: current_frame behind use_tracing
        indirect=1,
        indirect_frame=8,
        # _PyInterpreterFrame: f_code, previous, prev_instr, is_entry, owner (pycore_frame.h)
        frame_code=32,
        frame_previous=48,
        frame_instruction=56,
        frame_entry=68,
        frame_owner=69,
        owner_shim=NO_OWNER,
        code_first_line=72,
        code_bytes=184,
        # PyASCIIObject ends in wstr, PyCompactUnicodeObject in wstr_length (unicodeobject.h)
        text_ascii=48,
        text_compact=72,
        **_CODE,
    ),
    (3, 12): Layout(
        runtime_interpreter=40,
        interpreter_next=0,
        interpreter_thread=72,
        thread_next=8,
        thread_id=136,
        thread_native_id=144,
        thread_frame=56,
        thread_status=24,
        thread_active=_ACTIVE,
        # _PyCFrame starts with current_frame
        indirect=1,
        indirect_frame=0,
        frame_code=0,
        frame_previous=8,
        frame_instruction=56,
        frame_owner=70,
        # FRAME_OWNED_BY_CSTACK = 3, the default, marks where C was entered
        code_first_line=68,
        code_bytes=192,
        **_CODE,
    ),
}
"""Offsets of the versions that do not tell them."""

_OLD = ("size", "finalizing", "interpreters_head")
_INTERPRETER = ("size", "id", "next", "threads_head")
_INTERPRETER_REST = (
    *("gc", "imports_modules", "sysdict", "builtins", "ceval_gil", "gil_runtime_state"),
    *("gil_runtime_state_enabled", "gil_runtime_state_locked", "gil_runtime_state_holder"),
)
_THREAD = (
    *("size", "prev", "next", "interp", "current_frame", "thread_id", "native_thread_id"),
    *("datastack_chunk", "status"),
)
_FRAME = ("size", "previous", "executable", "instr_ptr", "localsplus", "owner")
_CODE_OBJECT = (
    *("size", "filename", "name", "qualname", "linetable", "firstlineno", "argcount"),
    *("localsplusnames", "localspluskinds", "co_code_adaptive"),
)
_BETWEEN = {
    **{"type_object": ("size", "tp_name", "tp_repr", "tp_flags")},
    **{"tuple_object": ("size", "ob_item", "ob_size"), "list_object": ("size", "item", "ob_size")},
}
_AFTER = {
    **{"dict_object": ("size", "ma_keys", "ma_values"), "float_object": ("size", "ob_fval")},
    **{"long_object": ("size", "lv_tag", "ob_digit")},
    **{"bytes_object": ("size", "ob_size", "ob_sval")},
    **{"unicode_object": ("size", "state", "length", "asciiobject_size")},
}
_OFFSETS: dict[tuple[int, int], dict[str, tuple[str, ...]]] = {
    (3, 13): {
        **{"runtime": _OLD, "interpreter": (*_INTERPRETER, *_INTERPRETER_REST)},
        **{"thread": _THREAD, "frame": _FRAME, "code": _CODE_OBJECT},
        **{"object": ("size", "ob_type"), **_BETWEEN, **_AFTER},
    },
    (3, 14): {
        "runtime": _OLD,
        "interpreter": (
            *(*_INTERPRETER, "threads_main", *_INTERPRETER_REST),
            *("code_object_generation", "tlbc_generation"),
        ),
        **{"thread": _THREAD, "frame": (*_FRAME, "stackpointer", "tlbc_index")},
        **{"code": (*_CODE_OBJECT, "co_tlbc"), "object": ("size", "ob_type"), **_BETWEEN},
        **{"set_object": ("size", "used", "table", "mask"), **_AFTER},
    },
}
"""The members of ``_Py_DebugOffsets`` behind cookie, version and free_threaded, all uint64."""


def debug_offsets(head: bytes, version: tuple[int, int]) -> dict[str, int]:
    """Parse ``_Py_DebugOffsets``.

    Parameters
    ----------
    head : bytes
        The first :data:`OFFSETS_BYTES` of ``_PyRuntime``.
    version : tuple of (int, int)
        (3, 13) or (3, 14): which of the structures it is.

    Returns
    -------
    dict of str to int
        ``"thread.current_frame"`` and the like to offset; ``"version"``, ``"free_threaded"``.
        Empty when the cookie is missing or the bytes do not suffice.
    """
    names = [f"{part}.{name}" for part, members in _OFFSETS[version].items() for name in members]
    words = struct.Struct(f"<{2 + len(names)}Q")
    if not head.startswith(COOKIE) or len(head) < len(COOKIE) + words.size:
        return {}
    return dict(zip(("version", "free_threaded", *names), words.unpack_from(head, 8), strict=True))


def layout_of(offsets: dict[str, int], version: tuple[int, int]) -> Layout:
    """Return the layout that ``_Py_DebugOffsets`` describes; it may be unsound."""
    free = bool(offsets["free_threaded"])
    found = Layout(
        runtime_interpreter=offsets["runtime.interpreters_head"],
        interpreter_next=offsets["interpreter.next"],
        interpreter_thread=offsets["interpreter.threads_head"],
        thread_next=offsets["thread.next"],
        thread_id=offsets["thread.thread_id"],
        thread_native_id=offsets["thread.native_thread_id"],
        thread_frame=offsets["thread.current_frame"],
        thread_status=offsets["thread.status"],
        thread_active=_ACTIVE,
        thread_previous=offsets["thread.prev"],
        thread_interpreter=offsets["thread.interp"],
        frame_code=offsets["frame.executable"],
        frame_previous=offsets["frame.previous"],
        frame_instruction=offsets["frame.instr_ptr"],
        frame_owner=offsets["frame.owner"],
        code_bytes=offsets["code.co_code_adaptive"],
        code_file=offsets["code.filename"],
        code_name=offsets["code.qualname"],
        code_lines=offsets["code.linetable"],
        code_first_line=offsets["code.firstlineno"],
        code_version=max(0, offsets["code.localsplusnames"] - 8),
        object_type=offsets["object.ob_type"],
        object_size=offsets["bytes_object.ob_size"],
        bytes_data=offsets["bytes_object.ob_sval"],
        text_length=offsets["unicode_object.length"],
        text_state=offsets["unicode_object.state"],
        text_ascii=offsets["unicode_object.asciiobject_size"],
        # utf8_length and utf8 follow
        text_compact=offsets["unicode_object.asciiobject_size"] + 16,
    )
    if version == (3, 14):
        # An executable is a _PyStackRef, whose low bits count references (pycore_stackref.h). In
        # free-threaded builds `interned` is a byte of its own (unicodeobject.h).
        found = replace(found, tag=7, text_kind=8 if free else 2)
    return found


def record(layout: Layout, dtype: np.dtype[np.void], **more: int) -> NDArray[np.void]:
    """Return the layout as a value of the map ``wb_python``.

    Parameters
    ----------
    dtype : numpy.dtype
        Of ``struct wb_python_process``, from the object's BTF.
    **more : int
        Fields that are no offsets: ``runtime``, ``code_type``, ``thread_key``.
    """
    value = np.zeros(1, dtype)
    for name in dtype.names or ():
        value[name] = more[name] if name in more else getattr(layout, name)
    return value
