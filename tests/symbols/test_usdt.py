"""Static probes: the notes that readelf lists, and damaged ones."""

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import compiled, lines_of

from workbench.elf import Elf
from workbench.errors import AttachError
from workbench.symbols import usdt

SDT = Path(__file__).parent.parent / "sdt.h"
SOURCE = r"""
unsigned short gate __attribute__((section(".probes")));
int main(void) {
    asm volatile(SDT("app", "start", "0", ""));
    asm volatile(SDT("app", "step", "gate", "-4@%%edi 8@$7") :: "D"(1));
    asm volatile(SDT("app", "step", "gate", "-4@%%esi 8@$8") :: "S"(1));
    asm volatile(SDT("other", "stop", "0", "") ::);
    return gate;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(
        tmp_path_factory.mktemp("usdt"), "prog", SOURCE, "gcc", "-O1", "-include", str(SDT)
    )


def listed(path):
    """What readelf shows: (provider, name, location, semaphore, arguments)."""
    text = "\n".join(lines_of("readelf", "-n", path))
    pattern = (
        r"Provider: (\S+)\s+Name: (\S+)\s+Location: (\w+), Base: \w+, Semaphore: (\w+)"
        r"\s+Arguments: ?([^\n]*)"
    )
    return [
        (provider, name, int(at, 16), int(semaphore, 16), arguments.strip())
        for provider, name, at, semaphore, arguments in re.findall(pattern, text)
    ]


def test_notes_are_those_of_readelf(program):
    with Elf.open(program) as elf:
        found = usdt.notes(elf)
    told = [(n.provider, n.name, n.address, n.semaphore, n.arguments) for n in found]
    assert told == listed(program)
    assert [n.name for n in found] == ["start", "step", "step", "stop"]
    assert found[1].semaphore


@pytest.mark.parametrize("name", ["python3", "libstdc++.so.6"])
def test_real_files(name):
    try:
        path = usdt.resolved(f"/usr/bin/{name}" if name == "python3" else name)
    except AttachError:
        pytest.skip(f"{name} is not installed")
    with Elf.open(path) as elf:
        found = usdt.notes(elf)
    told = [(n.provider, n.name, n.address, n.semaphore, n.arguments) for n in found]
    assert told == listed(path)


def test_sites(program):
    sites = usdt.find(str(program), "app", "step")
    with Elf.open(program) as elf:
        first = next(n for n in usdt.notes(elf) if n.name == "step")
        data, symbols = elf.sections[".probes"], elf.sections[".text"]
    assert [site.arguments for site in sites] == ["-4@%edi 8@$7", "-4@%esi 8@$8"]
    assert sites[0].semaphore == first.semaphore - data.addr + data.offset
    assert sites[0].offset == first.address - symbols.addr + symbols.offset
    assert usdt.find(str(program), "", "stop")[0].semaphore == 0


def test_wrong_names(program):
    with pytest.raises(AttachError, match="no static probe app:stp") as caught:
        usdt.find(str(program), "app", "stp")
    assert "app:step" in caught.value.advice
    with pytest.raises(AttachError) as caught:
        usdt.find("/bin/true", "app", "step")
    assert "none at all" in caught.value.why


def fake_elf(content):
    """An ELF file that is nothing but a section of notes."""
    names = b"\0.note.stapsdt\0.shstrtab\0"
    at = 64 + len(content)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, 62, 1, 0, 0, at + len(names), 0,
                         64, 56, 0, 64, 3, 2)  # fmt: skip
    rows = [(0,) * 10, (1, 7, 0, 0, 64, len(content), 0, 0, 4, 0)]
    rows.append((15, 3, 0, 0, at, len(names), 0, 0, 1, 0))
    sections = b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)
    return header + content + names + sections


def note(content, kind=3, name=b"stapsdt\0"):
    body = struct.pack("<III", len(name), len(content), kind) + name.ljust(-(-len(name) // 4) * 4)
    return body + content.ljust(-(-len(content) // 4) * 4, b"\0")


WHOLE = struct.pack("<QQQ", 0x1000, 0, 0) + b"p\0n\0 8@%rax\0"


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (note(WHOLE) + note(WHOLE), 2),
        (note(WHOLE)[:-8], 0),
        (note(WHOLE, kind=4) + note(WHOLE), 1),
        (note(WHOLE, name=b"other\0") + note(WHOLE), 1),
        (note(WHOLE[:24] + b"no end"), 0),
        (note(b"short") + note(WHOLE), 1),
        (note(WHOLE) + struct.pack("<III", 2**32 - 1, 2**32 - 1, 3), 1),
    ],
)
def test_damaged_notes_count_for_nothing(content, count):
    assert len(usdt.notes(Elf(fake_elf(content)))) == count


@given(st.binary(max_size=300))
def test_any_bytes(content):
    assert len(usdt.notes(Elf(fake_elf(content)))) <= len(content) // 12
