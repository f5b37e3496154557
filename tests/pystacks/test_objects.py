"""Code objects read from a process: whole ones, and what hostile memory may hold."""

import random

import pytest
from pystacks_memory import CODE_TYPE, Memory

from workbench.pystacks.layout import TABLE
from workbench.pystacks.objects import decode_text, fingerprint, read_code, read_text

LAYOUT = TABLE[3, 12]


@pytest.mark.parametrize("text", ["main", "Größe.f", "漢字.<locals>.f", "𝔘\N{SNAKE}", "a\0b"])
@pytest.mark.parametrize("version", TABLE)
def test_texts(text, version):
    memory = Memory(b"")
    layout = TABLE[version]
    assert read_text(memory, layout, memory.text(text, layout)) == text


def test_decoding_takes_any_bytes():
    assert decode_text(b"abc", 2) == "\u6261"
    assert decode_text(b"\0\xd8", 2) == "\N{REPLACEMENT CHARACTER}"
    assert decode_text(b"\xff\xff\xff\xff", 4) == "\N{REPLACEMENT CHARACTER}"
    assert decode_text(b"abc", 0) == decode_text(b"abc", 3) == ""


def made():
    memory = Memory(b"")
    address = memory.code("A.f", "/srv/ä.py", b"\x80\x01\x02", 7)
    return memory, address, fingerprint(memory.read(address, LAYOUT.code_bytes), LAYOUT)


def test_a_code_object():
    memory, address, mark = made()
    found = read_code(memory, LAYOUT, CODE_TYPE, address, mark)
    assert (found.name, found.file, found.first_line) == ("A.f", "/srv/ä.py", 7)
    assert found.lines == b"\x80\x01\x02"


def test_another_code_object_at_the_same_address():
    memory, address, mark = made()
    assert read_code(memory, LAYOUT, CODE_TYPE, address, mark ^ 1) is None
    assert read_code(memory, LAYOUT, CODE_TYPE + 16, address, mark) is None
    assert read_code(memory, LAYOUT, CODE_TYPE, address + 16, mark) is None
    assert read_code(memory, LAYOUT, CODE_TYPE, 0, mark) is None


@pytest.mark.parametrize("at", ["code_name", "code_file", "code_lines", "code_version"])
def test_the_fingerprint_covers(at):
    memory, address, mark = made()
    memory.content[address - memory.base + getattr(LAYOUT, at) + 4] ^= 1
    assert fingerprint(memory.read(address, LAYOUT.code_bytes), LAYOUT) != mark
    assert mark < 1 << 30


def test_objects_that_change_while_they_are_read():
    memory, address, mark = made()
    original, count = memory.read, 0

    def read(at, size):
        nonlocal count
        count += at == address
        if count == 2:
            memory.content[address - memory.base + LAYOUT.code_lines] ^= 1
        return original(at, size)

    memory.read = read
    assert read_code(memory, LAYOUT, CODE_TYPE, address, mark) is None
    assert count == 2


def test_hostile_memory():
    source = random.Random(7)
    for _ in range(2000):
        memory, address, _ = made()
        for _ in range(source.randrange(1, 40)):
            at = source.randrange(len(memory.content))
            memory.content[at] = source.choice((0, 255, source.randrange(256)))
        memory.content[address - memory.base + 8 :][:8] = CODE_TYPE.to_bytes(8, "little")
        mark = fingerprint(memory.read(address, LAYOUT.code_bytes), LAYOUT)
        read_code(memory, LAYOUT, CODE_TYPE, address, mark)
        assert memory.reads < 20
