"""Code objects by process and address: what the ring ``wb_python_codes`` tells, and the rest.

A record names a code object when it first runs. Texts that did not fit, and objects whose pages
were not in memory, are read from the process as long as it lives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.pystacks.interpreter import Interpreter
from workbench.pystacks.lines import LineTable, decode_lines
from workbench.pystacks.memory import ProcessMemory
from workbench.pystacks.objects import CodeText, decode_text, read_code

MAX_CODES = 1 << 18
"""Most code objects that are remembered; then the oldest is forgotten."""
UNKNOWN = "[unknown]"
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 127)}

Key = tuple[int, int, int]
"""Process id, address, fingerprint."""


@dataclass
class Code:
    """One code object.

    Parameters
    ----------
    function : str
        Qualified name, :data:`UNKNOWN` where it could not be read.
    file : str
        As the program calls it, "" where it could not be read.
    first_line : int
    line_table : bytes
        Undecoded; empty where it could not be read.
    """

    function: str
    file: str
    first_line: int
    line_table: bytes
    _lines: LineTable | None = None

    @property
    def lines(self) -> LineTable | None:
        """Lines of the instructions, decoded at first use; None where only the first is known."""
        if self._lines is None and self.line_table:
            self._lines = decode_lines(self.line_table, self.first_line)
        return self._lines


class CodeTable:
    """All code objects that were announced.

    Parameters
    ----------
    record : numpy.dtype
        Of ``struct wb_python_code`` without its data, from the object's BTF.
    interpreter_of : callable
        Process id -> what was found in it, or None.
    """

    def __init__(
        self,
        record: np.dtype[Any],
        interpreter_of: Callable[[int], Interpreter | None] = lambda _: None,
    ) -> None:
        self._record = record
        self._interpreter_of = interpreter_of
        self._codes: OrderedDict[Key, Code] = OrderedDict()
        self._tried: set[Key] = set()

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, records: Iterable[bytes]) -> None:
        """Take records of the ring; those that make no sense are left out.

        Parameters
        ----------
        records : iterable of bytes
        """
        for content in records:
            if len(content) >= self._record.itemsize:
                self._add(content)

    def find(self, pid: int, address: int, fingerprint: int) -> Code | None:
        """Return a code object, None where neither the ring nor the process knows it."""
        key = (pid, address, fingerprint)
        found = self._codes.get(key)
        if found is None and key not in self._tried:
            text = self._read(key)
            if text is None:
                if len(self._tried) >= MAX_CODES:
                    self._tried.clear()
                self._tried.add(key)
                return None
            found = self._keep(key, text)
        return found

    def forget(self, pid: int) -> None:
        """Tell that a process has gone and all of its stacks are decoded."""
        for key in [key for key in self._codes if key[0] == pid]:
            del self._codes[key]
        self._tried = {key for key in self._tried if key[0] != pid}

    def _add(self, content: bytes) -> None:
        head = np.frombuffer(content, self._record, 1)[0]
        key = (int(head["pid"]), int(head["code"]), int(head["fingerprint"]))
        sizes = [int(head[name]) for name in ("name_bytes", "file_bytes", "lines_bytes")]
        parts, at = [], self._record.itemsize
        for size in sizes:
            parts.append(content[at : at + size])
            at += size
        kinds = [int(head["name_kind"]), int(head["file_kind"])]
        text = CodeText(
            decode_text(parts[0], kinds[0]),
            decode_text(parts[1], kinds[1]),
            int(head["first_line"]),
            parts[2] if sizes[2] == head["lines_size"] else b"",
        )
        lengths = [int(head["name_length"]), int(head["file_length"])]
        cut = any(
            size < length * kind for size, length, kind in zip(sizes, lengths, kinds, strict=False)
        )
        if cut or not all(kinds) or not text.lines:
            text = self._read(key) or text
        self._keep(key, text)

    def _read(self, key: Key) -> CodeText | None:
        pid, address, fingerprint = key
        found = self._interpreter_of(pid)
        if found is None or found.layout is None:
            return None
        with ProcessMemory(pid) as memory:
            return read_code(memory, found.layout, found.code_type, address, fingerprint)

    def _keep(self, key: Key, text: CodeText) -> Code:
        code = Code(
            text.name.translate(_ESCAPES) or UNKNOWN,
            text.file.translate(_ESCAPES),
            text.first_line,
            text.lines,
        )
        self._codes[key] = code
        self._tried.discard(key)
        if len(self._codes) > MAX_CODES:
            self._codes.popitem(last=False)
        return code
