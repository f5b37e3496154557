"""A hand-made process: memory at made-up addresses, for readers of Python's data."""

from __future__ import annotations

import struct

import numpy as np

from workbench.pystacks.layout import TABLE, Layout
from workbench.pystacks.memory import MAX_READ

CODE_TYPE = 0x5000


class Memory:
    """Stands in for ProcessMemory."""

    def __init__(self, content: bytes, base: int = 0x10000) -> None:
        self.content, self.base, self.pid = bytearray(content), base, 1
        self.reads = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        assert self.reads < 1000, "an endless loop"
        if not 0 < size <= MAX_READ or address < self.base:
            return b""
        part = bytes(self.content[address - self.base : address - self.base + size])
        return part if len(part) == size else b""

    def word(self, address: int) -> int:
        content = self.read(address, 8)
        return int.from_bytes(content, "little")

    def put(self, content: bytes) -> int:
        """Append an object; return its address."""
        self.content += bytes(-len(self.content) % 16)
        self.content += content
        return self.base + len(self.content) - len(content)

    def text(self, text: str, layout: Layout) -> int:
        """Append a str."""
        kind = next(k for k, top in ((1, 0xFF), (2, 0xFFFF), (4, 1 << 30)) if ord(max(text)) <= top)
        ascii_only = text.isascii()
        size = layout.text_ascii if ascii_only else layout.text_compact
        head = bytearray(size)
        struct.pack_into("<Q", head, layout.text_length, len(text))
        state = (kind | 8 | 16 * ascii_only) << layout.text_kind
        struct.pack_into("<I", head, layout.text_state, state)
        encoding = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[kind]
        return self.put(bytes(head) + text.encode(encoding))

    def code(self, name: str, file: str, lines: bytes, first: int, version: int = 1) -> int:
        """Append a code object of 3.12."""
        layout = TABLE[3, 12]
        head = struct.pack("<QQQQ", 1, 0, len(lines), 0)
        fields = {
            **{layout.object_type: CODE_TYPE, layout.object_size: 12},
            **{
                layout.code_name: self.text(name, layout),
                layout.code_file: self.text(file, layout),
            },
            **{layout.code_lines: self.put(head + lines), layout.code_version: version << 32},
        }
        block = bytearray(layout.code_bytes)
        for at, value in fields.items():
            struct.pack_into("<Q", block, at, value)
        struct.pack_into("<i", block, layout.code_first_line, first)
        return self.put(bytes(block) + bytes(24))


def words(*frames: tuple[int, int]) -> np.ndarray:
    """Words of frames."""
    return np.array(frames, np.uint64).reshape(-1, 2)
