import lzma
import time

import pytest
from programs import compiled, with_mini_debuginfo

from workbench.elf import Elf
from workbench.elf_format import SHT_SYMTAB
from workbench.symbols import mini_debuginfo as mini_module
from workbench.symbols.mini_debuginfo import mini_debuginfo

SOURCE = "static int __attribute__((noinline)) hidden(int x) { return x * 3; }"
SOURCE += "int main(int n, char **a) { return hidden(n); }"


@pytest.fixture(scope="module")
def carrying(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mini")
    program = compiled(directory, "program", SOURCE, "gcc", "-O1")
    return with_mini_debuginfo(program, directory / "carrying", ["hidden"])


def with_content(carrying, content):
    """Return the program with other bytes in its section, of which there must be fewer."""
    with Elf.open(carrying) as elf:
        section = elf.sections[".gnu_debugdata"]
    assert len(content) <= section.size
    whole = bytearray(carrying.read_bytes())
    whole[section.offset : section.offset + section.size] = content.ljust(section.size, b"\0")
    return Elf(bytes(whole))


def test_the_file_within(carrying):
    with Elf.open(carrying) as elf:
        assert not len(elf.symbols(SHT_SYMTAB))
        assert "hidden" in mini_debuginfo(elf).symbols(SHT_SYMTAB).names()


def test_most_programs_have_none():
    with Elf.open("/bin/true") as elf:
        assert mini_debuginfo(elf) is None


def test_damaged_content(carrying):
    with Elf.open(carrying) as elf:
        content = elf.section_bytes(".gnu_debugdata")
    for damaged in (b"", content[:-20], b"x" + content[1:], lzma.compress(b"no ELF file")):
        assert mini_debuginfo(with_content(carrying, damaged)) is None


def test_bombs_are_not_unpacked(carrying, monkeypatch):
    bomb = lzma.compress(bytes(1 << 20))
    started = time.perf_counter()
    monkeypatch.setattr(mini_module, "MAX_BYTES", (1 << 20) - 1)
    assert mini_module._unpacked(bomb) == b""
    monkeypatch.setattr(mini_module, "MAX_BYTES", 1 << 20)
    assert len(mini_module._unpacked(bomb)) == 1 << 20
    # What asks for more memory than that is refused before it is given any.
    monkeypatch.setattr(mini_module, "_MAX_MEMORY", 1 << 19)
    assert mini_module._unpacked(lzma.compress(b"a")) == b""
    assert time.perf_counter() - started < 5
