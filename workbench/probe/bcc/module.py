"""A BCC program: compiled, its functions loaded, its tables and buffers found."""

from __future__ import annotations

import ctypes as c
import errno
import os
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workbench.errors import LoadError, MapError
from workbench.probe.bcc import headers, tables, text, tracepoints
from workbench.probe.bcc.compiler import Compiler
from workbench.probe.bcc.libbcc import lib
from workbench.probe.bcc.lines import original_lines, rewritten
from workbench.probe.bcc.messages import compiler_errors, verifier_end
from workbench.probe.clib import errno_text, not_permitted
from workbench.probe.privileges import refusal_advice
from workbench.probe.program_info import missed_runs

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from workbench.probe.bcc.compiler import Compiled
    from workbench.probe.bcc.tables import Buffer
    from workbench.probe.bcc.usdt import Usdt
    from workbench.probe.typed_map import TypedMap

FLAGS = ("-Wno-everything", "-Werror=implicit-function-declaration")
"""Warnings of programs that work are about their macros mostly. A helper that does not exist would
be a call to nowhere, which the verifier refuses with a riddle."""


class Module:
    """A compiled program. Use it as a context manager, or close it.

    Parameters
    ----------
    source : str
        C as BCC takes it.
    defines : mapping of str to object
        Macros, such as ``{"PID": 42}``.
    cflags : sequence of str
        More flags for the compiler.
    usdt : sequence of Usdt
        Contexts of USDT probes, which BCC has to know when it compiles.
    events : mapping of str to str
        C type of what each buffer sends, where it cannot be told from the program.

    Raises
    ------
    LoadError
        It does not compile; with the compiler's messages.
    NotPermittedError, UnsupportedKernelError

    Examples
    --------
    >>> with Module(source) as module:                             # doctest: +SKIP
    ...     module.load("raw_tracepoint__sys_enter", RAW_TRACEPOINT)

    Attributes
    ----------
    functions : list of str
    tables : dict of str to TypedMap
    buffers : dict of str to Buffer
    """

    def __init__(
        self,
        source: str,
        *,
        defines: Mapping[str, object] | None = None,
        cflags: Sequence[str] = (),
        usdt: Sequence[Usdt] = (),
        events: Mapping[str, str] | None = None,
    ) -> None:
        self.source = source
        self._loaded: dict[str, int] = {}
        self._held: list[int] = []
        self._compiler: Compiler | None = Compiler()
        self._flags = [*FLAGS, *(f"-D{n}={_macro(v)}" for n, v in (defines or {}).items()), *cflags]
        wanted = dict(events or {})
        types = list(dict.fromkeys([*text.struct_names(source), *wanted.values()]))
        try:
            lib()
            made = self._compile(_usdt_text(usdt) + tracepoints.structs(source), types)
            self.functions = made.functions
            self._held = [each.fd for each in made.tables]
            found = tables.found(made.tables, wanted)
            self._free([each.fd for each in made.tables if each.name.startswith(text.TYPE_PREFIX)])
        except BaseException:
            self.close()
            raise
        self.tables: dict[str, TypedMap] = found.tables
        self.buffers: dict[str, Buffer] = found.buffers
        self._counters = found.counters

    def _compile(self, arguments: str, types: list[str]) -> Compiled:
        """Compile the program in the richest form that compiles."""
        found = headers.find()
        self._flags += found.prepare(self.source)
        for attempt in _attempts(self.source, arguments, types):
            # Each in a new process: what tables the one before made go with it.
            self._compiler = self._compiler or Compiler()
            where = "" if found.installed else str(found.path)
            made = self._compiler.compile(attempt, self._flags, where)
            if made is not None:
                self._text = attempt
                return made
            printed, ended_by = self._compiler.printed, self._compiler.ended_by
            self.finish()
        raise _refused(printed, _lines_before(attempt, self.source), ended_by)

    def load(self, function: str, kind: int) -> int:
        """Load a function; return its descriptor, which the module owns.

        Parameters
        ----------
        function : str
        kind : int
            ``enum bpf_prog_type``.

        Raises
        ------
        LoadError
            With the end of the verifier's log.
        NotPermittedError
        """
        if function in self._loaded:
            return self._loaded[function]
        if function not in self.functions:
            listed = ", ".join(self.functions) or "none"
            raise LoadError(f"The program has no function {function}.", why=f"it has {listed}")
        if self._compiler is None:
            raise LoadError(f"Function {function} is too late.", why="loading was finished before")
        fd, number = self._compiler.load(function, kind)
        if fd >= 0:
            self._loaded[function] = fd
            return fd
        what, log = f"The kernel refused function {function}.", self._compiler.printed
        if number == errno.EPERM and "processed " not in log:
            raise not_permitted(what, number)
        why = verifier_end(log, self._lines(self._compiler))
        why = f"{errno_text(number)}. {why}".strip()
        raise LoadError(what, why=why, advice=refusal_advice(log), log=log)

    def _lines(self, compiler: Compiler) -> dict[int, int]:
        """Lines of the program for those that BCC rewrote, which the verifier counts."""
        made = rewritten(compiler.rewrite(self._text, self._flags))
        first = _lines_before(self._text, self.source)
        found = original_lines(self._text, made)
        return {made: line - first for made, line in found.items() if line > first}

    def finish(self) -> None:
        """Let go of what only loading takes: no further function can be loaded then."""
        if self._compiler is not None:
            self._compiler.close()
            self._compiler = None

    def losses(self, buffer: str) -> tuple[int, int] | None:
        """Return how many events a buffer was given and did not take; None if not counted."""
        if self._counters is None:
            return None
        counts = self._counters[self.buffers[buffer].number]
        return sum(c["produced"] for c in counts), sum(c["dropped"] for c in counts)

    def missed(self) -> dict[str, int]:
        """Return how many runs of loaded functions the kernel left out, where it did."""
        runs = {name: missed_runs(fd) for name, fd in self._loaded.items()}
        return {name: count for name, count in runs.items() if count}

    def _free(self, descriptors: Sequence[int]) -> None:
        for fd in descriptors:
            self._held.remove(fd)
            os.close(fd)

    def unload(self, function: str) -> None:
        """Unload a function that is not attached."""
        os.close(self._loaded.pop(function))

    def close(self) -> None:
        """Unload all. Safe to call twice."""
        self.finish()
        self.tables, self.buffers, self._counters = {}, {}, None
        while self._loaded:
            os.close(self._loaded.popitem()[1])
        self._free(list(self._held))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _attempts(source: str, arguments: str, types: list[str]) -> list[str]:
    """Return the program with what is put around it, from the most to nothing."""
    plain = arguments + source
    if not text.has_buffers(source):
        return [plain]
    # A struct that is defined under a condition only cannot be a table's type.
    wrapped = [arguments + text.wrapped(source, each) for each in (types, [])]
    return [*wrapped, plain]


def _refused(printed: str, first: int, ended_by: int) -> Exception:
    """Return the error for a program that does not compile."""
    if "could not open bpf map" in printed:
        what = "The program's tables cannot be made."
        if os.strerror(errno.EPERM) in printed:
            return not_permitted(what, errno.EPERM)
        return MapError(what, why=printed.strip())
    why = compiler_errors(printed, first)
    if ended_by and not why:
        why = f"the compiler was ended by {signal.Signals(ended_by).name}"
    return LoadError("The C text does not compile.", why=why or "BCC gives no reason", log=printed)


def _lines_before(attempt: str, source: str) -> int:
    return attempt[: attempt.index(source)].count("\n")


def _macro(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _usdt_text(usdt: Sequence[Usdt]) -> str:
    if not usdt:
        return ""
    array = (c.c_void_p * len(usdt))(*(each.handle for each in usdt))
    made = lib().bcc_usdt_genargs(array, len(usdt))
    if made is None:
        raise LoadError(
            "BCC cannot tell where the arguments of the USDT probes are.",
            why="a probe in a shared library has several places",
            advice="Give pid=, the process to trace.",
        )
    return bytes(made).decode()
