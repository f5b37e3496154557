"""Debug information that is made to hurt: no lines, soon, and the one who asks goes on."""

import random
import resource
import struct
import time
import zlib

import pytest
import unwind_frames as f
from programs import compiled

from workbench.elf import Elf
from workbench.elf_format import SHF_COMPRESSED
from workbench.symbols.line_cache import LineCache
from workbench.symbols.line_child import MAX_MEMORY
from workbench.symbols.lines import LineReader

SECTIONS = (".debug_info", ".debug_abbrev", ".debug_line", ".debug_str")
SOURCE = """
static inline __attribute__((always_inline)) int third(int x) { return x * 3; }
static inline __attribute__((always_inline)) int second(int x) { return third(x) + third(x + 1); }
__attribute__((noinline)) int work(int x) { return second(x); }
int main(int n, char **a) { return work(n); }
"""
MB = 1 << 20
LIMIT_S = 60  # of one file, on a machine that is busy; alone it takes less than 1 s
ODD = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return compiled(folder, "program", SOURCE, "gcc", "-O2", "-g")


@pytest.fixture
def reader(tmp_path):
    reader = LineReader(LineCache(tmp_path / "cache"))
    yield reader
    reader.close()


def ask(reader, path, addresses=(1, 2)):
    started = time.monotonic()
    with path.open("rb") as file:
        found = reader.lookup(file.fileno(), "", list(addresses))
    assert time.monotonic() - started < LIMIT_S
    return found


def inner(program):
    """The address of work()."""
    with Elf.open(program) as elf:
        symbols = elf.symbols()
        (place,) = (
            int(row["value"])
            for row in symbols.table
            if symbols.strings[row["name"] :].split(b"\0", 1)[0] == b"work"
        )
        return place - elf.loads[0].vaddr


def zeros(size):
    """A zlib stream of that many zeros, put together of equal pieces; its checksum is wrong."""
    machine = zlib.compressobj(9)
    pieces = [machine.compress(bytes(MB)) + machine.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    return pieces[0] + pieces[1] * (size // MB - 1) + machine.flush()


@pytest.mark.parametrize(
    ("size", "claimed"),
    [(64 * MB, 64 * MB), (4096 * MB, 4096 * MB), (4096 * MB, MB), (MB, 1 << 62)],
    ids=["small", "large", "more than it claims", "less than it claims"],
)
def test_sections_that_are_huge_when_unpacked(reader, program, tmp_path, size, claimed):
    packed = struct.pack("<IIQQ", 1, 0, claimed, 1) + zeros(size)
    bomb = tmp_path / "bomb"
    bomb.write_bytes(f.elf(named=[(name, SHF_COMPRESSED, packed) for name in SECTIONS]))
    assert bomb.stat().st_size < 20 * MB
    assert ask(reader, bomb) == [(), ()]
    (found,) = ask(reader, program, [inner(program)])  # the next file has its lines
    assert found[-1].function == "work"
    reader.close()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MAX_MEMORY + 100 * MB


def test_mutated_debug_information(tmp_path, program):
    whole, rng = program.read_bytes(), random.Random(11)
    with Elf.open(program) as elf:
        places = [s for s in elf.section_list if s.name.startswith(".debug_")]
        tables = int.from_bytes(whole[40:48], "little")
    address, known, path = inner(program), 0, tmp_path / "mutant"
    reader = LineReader(LineCache(tmp_path / "cache"))
    for turn in range(200):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 2, 8))):
            place = rng.choice(places)
            at = rng.randrange(place.offset, place.offset + place.size)
            if not turn % 4:
                at = rng.randrange(tables, len(whole))
            width = rng.choice((1, 2, 4, 8))
            value = rng.choice((*ODD, rng.getrandbits(64))) & (1 << 8 * width) - 1
            content[at : at + width] = value.to_bytes(width, "little")
        path.write_bytes(content)
        known += bool(ask(reader, path, range(address, address + 8))[0])
        if reader.status == "failed":  # too many crashes, as it is to be
            reader.close()
            reader = LineReader(LineCache(tmp_path / "cache"))
    assert 10 < known < 200
    reader.close()
    again = LineReader(LineCache(tmp_path / "cache"))
    assert ask(again, program, [address])[0][-1].function == "work"
    again.close()
