"""Code objects: from records of the ring, completed from the process, and hostile records."""

import random

import numpy as np
import pytest
from pystacks_memory import CODE_TYPE, Memory

from workbench.pystacks import codes as module
from workbench.pystacks.codes import UNKNOWN, CodeTable
from workbench.pystacks.interpreter import Interpreter, PythonStatus
from workbench.pystacks.layout import TABLE
from workbench.pystacks.objects import fingerprint

RECORD = np.dtype(
    [
        *(("code", "u8"), ("lines", "u8"), ("pid", "u4"), ("fingerprint", "u4")),
        *(("first_line", "i4"), ("lines_size", "u4"), ("name_length", "u4"), ("file_length", "u4")),
        *(("name_bytes", "u2"), ("file_bytes", "u2"), ("lines_bytes", "u2")),
        *(("name_kind", "u1"), ("file_kind", "u1")),
    ]
)
LINES = b"\x80\x01\xf9"
LAYOUT = TABLE[3, 12]


def record(name=b"A.f", file=b"/srv/a.py", lines=LINES, **changes):
    head = np.zeros(1, RECORD)
    values = {
        **{"code": 0x9000, "pid": 5, "fingerprint": 77, "first_line": 3, "lines_size": len(lines)},
        **{"name_length": len(name), "file_length": len(file), "name_bytes": len(name)},
        **{"file_bytes": len(file), "lines_bytes": len(lines), "name_kind": 1, "file_kind": 1},
    }
    for field, value in {**values, **changes}.items():
        head[field] = value
    return head.tobytes() + name + file + lines


def test_a_record():
    table = CodeTable(RECORD)
    table.add([record()])
    found = table.find(5, 0x9000, 77)
    assert (found.function, found.file, found.first_line) == ("A.f", "/srv/a.py", 3)
    assert found.lines.starts.tolist() == [0, 2]
    assert found.lines.lines.tolist() == [3, -1]
    for other in ((6, 0x9000, 77), (5, 0x9001, 77), (5, 0x9000, 78)):
        assert table.find(*other) is None
    table.add([record(b"g", fingerprint=78)])
    assert table.find(5, 0x9000, 77).function == "A.f", "of an address that was used again"
    assert table.find(5, 0x9000, 78).function == "g"
    assert len(table) == 2
    table.forget(6)
    table.forget(5)
    assert len(table) == 0


def test_what_could_not_be_read_in_the_kernel():
    table = CodeTable(RECORD)
    table.add([record(b"", b"", b"", name_kind=0, file_kind=0, lines_size=900)])
    found = table.find(5, 0x9000, 77)
    assert (found.function, found.file, found.first_line) == (UNKNOWN, "", 3)
    assert found.lines is None


def test_control_characters_are_escaped():
    table = CodeTable(RECORD)
    table.add([record(b"a\nb;\x1b[1m")])
    assert table.find(5, 0x9000, 77).function == "a\\x0ab;\\x1b[1m"


@pytest.fixture
def living(monkeypatch):
    """A process that can be read."""
    memory = Memory(b"")
    address = memory.code("A.whole_name", "/srv/a.py", LINES * 9, 3)
    mark = fingerprint(memory.read(address, LAYOUT.code_bytes), LAYOUT)

    class Opened:
        def __init__(self, pid):
            assert pid == 5

        __enter__ = staticmethod(lambda: memory)
        __exit__ = staticmethod(lambda *_: None)

    monkeypatch.setattr(module, "ProcessMemory", Opened)
    process = Interpreter(5, PythonStatus.OK, "", "", 1, CODE_TYPE, LAYOUT)
    table = CodeTable(RECORD, {5: process}.get)
    return table, memory, address, mark


@pytest.mark.parametrize(
    "cut",
    [
        {"name": b"A.who", "name_length": 12},
        {"lines": LINES, "lines_size": 27},
        {"name": b"", "name_kind": 0},
        {"lines": b"", "lines_size": 0},
    ],
)
def test_what_is_missing_is_read_from_the_process(living, cut):
    table, memory, address, mark = living
    table.add([record(code=address, fingerprint=mark, **cut)])
    found = table.find(5, address, mark)
    assert (found.function, found.line_table) == ("A.whole_name", LINES * 9)
    assert memory.reads > 3


def test_records_that_were_lost(living):
    table, memory, address, mark = living
    assert table.find(5, address, mark).function == "A.whole_name"
    assert table.find(5, address, mark ^ 1) is None
    reads = memory.reads
    assert table.find(5, address, mark ^ 1) is None
    assert memory.reads == reads, "tried once"
    assert table.find(6, address, mark) is None


def test_the_table_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_CODES", 10)
    table = CodeTable(RECORD)
    table.add(record(code=address) for address in range(100))
    assert len(table) == 10
    assert table.find(5, 99, 77)
    assert table.find(5, 0, 77) is None
    for address in range(1000, 1100):
        table.find(5, address, 77)
    assert len(table._tried) <= 10


def test_hostile_records():
    source = random.Random(1)
    table = CodeTable(RECORD)
    for _ in range(3000):
        content = bytearray(record())
        for _ in range(source.randrange(1, 12)):
            content[source.randrange(len(content))] = source.randrange(256)
        table.add([bytes(content[: source.randrange(len(content) + 1)])])
    for key in list(table._codes):
        assert table.find(*key).first_line is not None
        _ = table.find(*key).lines
    table.add([b"", bytes(RECORD.itemsize - 1)])
