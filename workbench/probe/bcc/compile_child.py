"""Compiles one BCC program and loads its functions; run as a program by :mod:`.compiler`.

Where LLVM cannot make code of a program, such as of one with too large a stack, it ends the process
that it is in; and when a table cannot be made, BCC keeps those that were. So both happen here, and
only descriptors of what came of it go to the process that asked. What libbcc and LLVM print goes
where this process's output goes.

============ ====================================================================================
request      answer
============ ====================================================================================
``compile``  ``functions``, their names; ``tables``, for each its name and how BCC describes its
             key, its value and the members that it saw being sent, with a descriptor for each; or
             ``failed``
``load``     ``failed`` and ``errno``, or a descriptor
``rewrite``  nothing: the program as BCC rewrote it is printed
============ ====================================================================================
"""

from __future__ import annotations

import ctypes as c
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Any

from workbench.probe.bcc.handover import receive, send
from workbench.probe.bcc.libbcc import lib

DEBUG_PREPROCESSOR = 4  # src/cc/bpf_module.h
LOOKS_S = 1.0
"""How often it looks whether the process that asked still is there."""

Answer = tuple[dict[str, Any], list[int]]


class Child:
    """What one process does: it compiles one program."""

    def __init__(self) -> None:
        self._handle = 0

    def compile(self, text: str, flags: list[str], headers: str) -> Answer:
        """Compile; ``headers`` is a tree that BCC is told of, or "": it finds them itself."""
        if headers:
            os.environ["BCC_KERNEL_SOURCE"] = headers
        else:
            os.environ.pop("BCC_KERNEL_SOURCE", None)
        self._handle = _compiled(text, flags)
        if not self._handle:
            return {"failed": True}, []
        tables = [self._table(number) for number in range(lib().bpf_num_tables(self._handle))]
        count = lib().bpf_num_functions(self._handle)
        functions = [lib().bpf_function_name(self._handle, i).decode() for i in range(count)]
        descriptors = [lib().bpf_table_fd_id(self._handle, i) for i in range(len(tables))]
        return {"functions": functions, "tables": tables}, descriptors

    def _table(self, number: int) -> dict[str, Any]:
        name = lib().bpf_table_name(self._handle, number)
        count = lib().bpf_perf_event_fields(self._handle, name)
        fields = [lib().bpf_perf_event_field(self._handle, name, i).decode() for i in range(count)]
        return {
            "name": name.decode(),
            "key": (lib().bpf_table_key_desc(self._handle, name) or b"").decode(),
            "value": (lib().bpf_table_leaf_desc(self._handle, name) or b"").decode(),
            "sent": [field.rpartition("#")[0] for field in fields],
        }

    def load(self, function: str, kind: int) -> Answer:
        """Load a function as a program of a kind (``enum bpf_prog_type``)."""
        name = function.encode()
        start = lib().bpf_function_start(self._handle, name)
        size = lib().bpf_function_size(self._handle, name)
        license_ = lib().bpf_module_license(self._handle)
        version = lib().bpf_module_kern_version(self._handle)
        fd = lib().bcc_func_load(
            self._handle, kind, name, start, size, license_, version, 0, None, 0, None, -1
        )
        return ({}, [fd]) if fd >= 0 else ({"failed": True, "errno": c.get_errno()}, [])

    def rewrite(self, text: str, flags: list[str]) -> Answer:
        """Compile once more, so that BCC prints the program as it rewrote it."""
        handle = _compiled(text, flags, DEBUG_PREPROCESSOR)
        if handle:
            lib().bpf_module_destroy(handle)
        return {}, []


def _compiled(text: str, flags: list[str], debug: int = 0) -> int:
    """Compile; return libbcc's handle, or 0."""
    array = (c.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    arguments = (text.encode(), debug, array, len(flags), False, None)
    return lib().bpf_module_create_c_from_string(*arguments) or 0


def serve(channel: socket.socket, parent: int) -> None:
    """Answer requests until the process that asks is gone."""
    child = Child()
    answers: dict[str, Callable[..., Answer]] = {
        "compile": child.compile,
        "load": child.load,
        "rewrite": child.rewrite,
    }
    try:
        while os.getppid() == parent:
            # A process that the parent has forked keeps the channel open beyond the parent's end.
            if not select.select([channel], [], [], LOOKS_S)[0]:
                continue
            request, _ = receive(channel)
            wanted = request.pop("do")
            message, descriptors = answers[wanted](**request)
            c.CDLL(None).fflush(None)
            send(channel, message, descriptors)
            if wanted == "load" and descriptors:
                os.close(descriptors[0])  # it is the other side's now
    except (EOFError, ConnectionError):
        pass


def main() -> None:
    """Run with the number of the channel's descriptor, and that of the process that asks."""
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        lib()
        send(channel, {"ready": True})
        serve(channel, int(sys.argv[2]))


if __name__ == "__main__":
    main()
