"""A BCC program: compiled, its functions loaded, its tables and buffers found."""

from __future__ import annotations

import ctypes as c
import errno
import os
import signal
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import LoadError, MapError, ObjectFormatError
from workbench.probe import btf as b
from workbench.probe.bcc import headers, text, tracepoints
from workbench.probe.bcc.describe import described
from workbench.probe.bcc.libbcc import lib
from workbench.probe.bcc.lines import original_lines, rewritten
from workbench.probe.bcc.messages import captured, compiler_errors, verifier_end
from workbench.probe.clib import errno_text, last_errno, not_permitted
from workbench.probe.ctype import CType, Opaque
from workbench.probe.ctype_btf import by_name, ctype, loaded_btf
from workbench.probe.map_access import PERF_EVENT_ARRAY, RINGBUF, STACK_TRACE
from workbench.probe.open_map import OpenMap
from workbench.probe.program_info import missed_runs
from workbench.probe.typed_map import TypedMap, typed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from workbench.probe.bcc.usdt import Usdt
    from workbench.probe.btf import Btf

FLAGS = ("-Wno-everything", "-Werror=implicit-function-declaration")
"""Warnings of programs that work are about their macros mostly. A helper that does not exist would
be a call to nowhere, which the verifier refuses with a riddle."""
DEBUG_PREPROCESSOR = 4  # src/cc/bpf_module.h


@dataclass(frozen=True)
class Buffer:
    """A perf or ring buffer of a program.

    Parameters
    ----------
    map : OpenMap
    event : CType, optional
        What the program sends; None where that is not known.
    number : int
        Its place in the program's loss counters, -1 if it has none.
    """

    map: OpenMap
    event: CType | None
    number: int

    @property
    def is_ring(self) -> bool:
        """Whether it is a ring buffer."""
        return self.map.type == RINGBUF


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
        self.tables: dict[str, TypedMap] = {}
        self.buffers: dict[str, Buffer] = {}
        self._handle = 0
        self._loaded: dict[str, int] = {}
        self._counters: TypedMap | None = None
        self._first = 0
        self._compiled: tuple[str, list[str]] = ("", [])
        self._headers = found = headers.find()
        flags = [*FLAGS, *(f"-D{n}={_macro(v)}" for n, v in (defines or {}).items()), *cflags]
        flags += found.prepare(source)
        arguments = _usdt_text(usdt) + tracepoints.structs(source)
        types = [*text.struct_names(source), *(events or {}).values()]
        with _environment(found):
            self._compile(source, arguments, flags, list(dict.fromkeys(types)))
        try:
            self._find_tables(events or {})
        except BaseException:
            self.close()
            raise

    def _compile(self, source: str, arguments: str, flags: list[str], types: list[str]) -> None:
        plain = arguments + source
        tries = [plain]
        if text.has_buffers(source):
            # A struct that is defined under a condition only cannot be a table's type.
            tries = [arguments + text.wrapped(source, types), arguments + text.wrapped(source, [])]
        for attempt in tries:
            works, printed = tried(attempt, flags)
            if works:
                with captured():
                    self._handle = _compiled(attempt, flags)
                self._compiled, self._first = (attempt, flags), _lines_before(attempt, source)
                break
        if not self._handle:
            raise _refused(printed, _lines_before(attempt, source))

    def _find_tables(self, events: Mapping[str, str]) -> None:
        maps = []
        for number in range(lib().bpf_num_tables(self._handle)):
            name = lib().bpf_table_name(self._handle, number).decode()
            maps.append(OpenMap.of(lib().bpf_table_fd_id(self._handle, number), name))
        # BCC numbers tables as they are declared, and makes them in the opposite order.
        numbers = {each.id: i for i, each in enumerate(sorted(maps, key=lambda m: -m.id), 1)}
        parsed = {number: loaded_btf(number) for number in {m.btf_id for m in maps}}
        declared = [
            t for m in maps if m.name.startswith(text.TYPE_PREFIX) for t in _types(m, parsed)
        ]
        for each in sorted(maps, key=lambda m: m.id, reverse=True):
            if each.name.startswith(text.TYPE_PREFIX):
                _give_back(each)
            elif each.name == text.COUNTERS:
                self._counters = typed(each, parsed[each.btf_id])
            elif each.type in (PERF_EVENT_ARRAY, RINGBUF):
                event = self._event(each, events.get(each.name, ""), declared, parsed)
                self.buffers[each.name] = Buffer(each, event, numbers[each.id])
            else:
                self.tables[each.name] = self._typed(each, parsed[each.btf_id])
        self._check_numbers(numbers)

    def _typed(self, table: OpenMap, btf: Btf | None) -> TypedMap:
        if (btf is not None and table.value_type) or table.type == STACK_TRACE:
            return typed(table, btf)
        name = table.name.encode()
        key: CType = Opaque(0)  # a queue has none
        try:
            if table.key_size:
                key = described(lib().bpf_table_key_desc(self._handle, name).decode())
            value = described(lib().bpf_table_leaf_desc(self._handle, name).decode())
            return TypedMap(table, key, value)
        except (ObjectFormatError, MapError):
            return typed(table)

    def _check_numbers(self, numbers: dict[int, int]) -> None:
        """Without the counters as number one, BCC numbers in another way than is known."""
        known = self._counters is not None and numbers[_id(self._counters)] == 1
        if not known or len(numbers) >= text.BUFFERS:
            self._counters = None

    def _event(
        self,
        buffer: OpenMap,
        wanted: str,
        declared: list[tuple[b.Type, CType]],
        parsed: Mapping[int, Btf | None],
    ) -> CType | None:
        """Find the type of what is sent to a buffer: the one with the members that BCC saw."""
        if wanted:
            name = wanted.removeprefix("struct ").removeprefix("union ")
            for btf in filter(None, parsed.values()):
                try:
                    return by_name(btf, name)
                except ObjectFormatError:
                    continue
            raise ObjectFormatError(f"The program has no type {wanted}.")
        count = lib().bpf_perf_event_fields(self._handle, buffer.name.encode())
        seen = [
            lib().bpf_perf_event_field(self._handle, buffer.name.encode(), i).decode()
            for i in range(count)
        ]
        members = [field.rpartition("#")[0] for field in seen]
        fitting = [kind for t, kind in declared if [m.name for m in t.members] == members]
        return fitting[0] if members and fitting else None

    @property
    def functions(self) -> list[str]:
        """Names of the program's functions."""
        count = lib().bpf_num_functions(self._handle)
        return [lib().bpf_function_name(self._handle, i).decode() for i in range(count)]

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
        name = function.encode()
        start = lib().bpf_function_start(self._handle, name)
        if not start:
            listed = ", ".join(self.functions) or "none"
            raise LoadError(f"The program has no function {function}.", why=f"it has {listed}")
        size, license_ = (
            lib().bpf_function_size(self._handle, name),
            lib().bpf_module_license(self._handle),
        )
        version = lib().bpf_module_kern_version(self._handle)
        with captured() as messages:
            fd = lib().bcc_func_load(
                self._handle, kind, name, start, size, license_, version, 0, None, 0, None, -1
            )
            number = last_errno()
        if fd >= 0:
            self._loaded[function] = fd
            return int(fd)
        what = f"The kernel refused function {function}."
        if number == errno.EPERM and "processed " not in messages.text:
            raise not_permitted(what, number)
        why = verifier_end(messages.text, self._lines())
        raise LoadError(what, why=f"{errno_text(number)}. {why}".strip(), log=messages.text)

    def _lines(self) -> dict[int, int]:
        """Lines of the program as BCC rewrote it; it tells when it compiles once more."""
        program, flags = self._compiled
        with captured(output=True) as messages, _environment(self._headers):
            handle = _compiled(program, flags, DEBUG_PREPROCESSOR)
        if handle:
            lib().bpf_module_destroy(handle)
        found = original_lines(program, rewritten(messages.text))
        return {made: line - self._first for made, line in found.items() if line > self._first}

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

    def unload(self, function: str) -> None:
        """Unload a function that is not attached."""
        os.close(self._loaded.pop(function))

    def close(self) -> None:
        """Unload all. Safe to call twice."""
        while self._loaded:
            os.close(self._loaded.popitem()[1])
        self.tables, self.buffers, self._counters = {}, {}, None
        if self._handle:
            lib().bpf_module_destroy(self._handle)
            self._handle = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _compiled(program: str, flags: Sequence[str], debug: int = 0) -> int:
    """Compile; return libbcc's handle, or 0."""
    array = (c.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    arguments = (program.encode(), debug, array, len(flags), False, None)
    return lib().bpf_module_create_c_from_string(*arguments) or 0


def tried(program: str, flags: Sequence[str]) -> tuple[bool, str]:
    """Compile a program in a child process.

    Where LLVM cannot make code of a program, such as of one with too large a stack, it ends the
    process that it is in. And when a table cannot be made, BCC keeps those that were.

    Returns
    -------
    works : bool
    printed : str
        What the compiler said.
    """
    lib()
    with captured() as messages, warnings.catch_warnings():
        # Python 3.12 warns of forking beside other threads. The child calls libbcc and ends.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            os._exit(0 if _compiled(program, flags) else 1)
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
    return status == 0, messages.text


def _refused(printed: str, first: int) -> Exception:
    """Return the error for a program that does not compile."""
    if "could not open bpf map" in printed:
        what = "The program's tables cannot be made."
        if os.strerror(errno.EPERM) in printed:
            return not_permitted(what, errno.EPERM)
        return MapError(what, why=printed.strip())
    why = compiler_errors(printed, first) or "BCC gives no reason"
    return LoadError("The C text does not compile.", why=why, log=printed)


def _lines_before(attempt: str, source: str) -> int:
    return attempt[: attempt.index(source)].count("\n")


def _macro(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _id(table: TypedMap) -> int:
    return table.raw.id if isinstance(table.raw, OpenMap) else 0


def _types(table: OpenMap, parsed: Mapping[int, Btf | None]) -> list[tuple[b.Type, CType]]:
    """The value type of a table, as BTF has it and as columns; empty if no column can hold it."""
    btf = parsed[table.btf_id]
    if btf is None:
        return []
    try:
        return [(btf.resolve(table.value_type)[0], ctype(btf, table.value_type))]
    except ObjectFormatError:
        return []


def _give_back(table: OpenMap) -> None:
    """Free a table that was there for its type only; BCC closes the descriptor later."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, table.fd, inheritable=False)
    os.close(null)


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


@contextmanager
def _environment(found: headers.Headers) -> Iterator[None]:
    """Tell libbcc where the headers are.

    Installed ones it has to find itself: Debian's are two trees, one for all machines and one for
    this, and the variable can name one only (bcc, src/cc/frontends/clang/kbuild_helper.cc).
    """
    before = os.environ.pop("BCC_KERNEL_SOURCE", None)
    if not found.installed:
        os.environ["BCC_KERNEL_SOURCE"] = str(found.path)
    try:
        yield
    finally:
        os.environ.pop("BCC_KERNEL_SOURCE", None)
        if before is not None:
            os.environ["BCC_KERNEL_SOURCE"] = before
