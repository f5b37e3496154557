import os
import random
import re
import resource
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from workbench.elf import Elf
from workbench.elf_format import (
    EM_BPF,
    EM_X86_64,
    ET_DYN,
    ET_EXEC,
    MAX_NAME,
    MAX_SECTIONS,
    PF_X,
    SHT_DYNSYM,
    SHT_SYMTAB,
    SYMBOL,
)
from workbench.errors import ObjectFormatError

SOURCE = (
    "int shared = 1; static int twice(int x) { return 2 * x; } int work(int x) {return twice(x);}"
)
MAIN = SOURCE + "int main(int n, char **a) { return work(n); }"
BPF = """
#define SEC(name) __attribute__((section(name), used))
const volatile int setting = 7;
SEC("raw_tp/sys_enter") int enter(void *context) { return setting; }
char LICENSE[] SEC("license") = "GPL";
"""


def compiled(directory, name, source, *command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    path = directory / name
    text = directory / f"{name}.c"
    text.write_text(source)
    subprocess.run([*command, "-o", path, text], check=True)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("elf")
    gcc = ("gcc", "-O1", "-Wl,--build-id=sha1")
    return {
        "pie": compiled(directory, "pie", MAIN, *gcc, "-pie", "-g"),
        "exec": compiled(directory, "exec", MAIN, *gcc, "-no-pie"),
        "shared": compiled(directory, "shared", SOURCE, *gcc, "-shared", "-fPIC"),
        "object": compiled(directory, "object", SOURCE, "gcc", "-c"),
        "bpf": compiled(directory, "bpf", BPF, "clang", "-target", "bpf", "-O2", "-g", "-c"),
        "big": compiled(directory, "big", SOURCE, "clang", "-target", "mips", "-c"),
        "small": compiled(directory, "small", SOURCE, "clang", "-target", "i386", "-c"),
    }


def readelf(option, path):
    command = ["readelf", "-W", option, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["pie", "exec", "shared", "object", "bpf", "big", "small"])
def test_sections_and_symbols_are_those_of_readelf(files, name):
    rows = re.findall(
        r"^  \[ *(\d+)\] (\S*) +\S+ +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)",
        readelf("-S", files[name]),
        re.MULTILINE,
    )
    with Elf.open(files[name]) as elf:
        ours = [(s.index, s.name, s.addr, s.offset, s.size) for s in elf.section_list if s.index]
        assert ours == [
            (int(i), n, *(int(x, 16) for x in rest)) for i, n, *rest in rows if i != "0"
        ]
        for kind, table in ((SHT_SYMTAB, ".symtab"), (SHT_DYNSYM, ".dynsym")):
            symbols = elf.symbols(kind)
            text = (
                readelf("-s", files[name]).partition(f"'{table}'")[2].partition("Symbol table")[0]
            )
            theirs = re.findall(
                r"^ *(\d+): ([0-9a-f]+) +(\d+|0x[0-9a-f]+) (\w+)", text, re.MULTILINE
            )
            assert [(int(v, 16), int(s, 0)) for _, v, s, _ in theirs] == list(
                zip(symbols.table["value"].tolist(), symbols.table["size"].tolist(), strict=True)
            )
            kinds = ["NOTYPE", "OBJECT", "FUNC", "SECTION", "FILE"]
            assert [kinds[info & 15] for info in symbols.table["info"]] == [t for *_, t in theirs]


def test_header_segments_and_build_id(files):
    with Elf.open(files["pie"]) as elf:
        assert (elf.bits, elf.byteorder, elf.machine) == (64, "little", os_machine())
        assert elf.etype == ET_DYN
        found = re.findall(
            r"LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x(\w+)", readelf("-l", files["pie"])
        )
        ours = [(s.offset, s.vaddr, s.filesz, s.memsz) for s in elf.loads]
        assert ours == [tuple(int(x, 16) for x in row) for row in found]
        assert sum(bool(s.flags & PF_X) for s in elf.loads) == 1
        assert elf.build_id == re.search(r"Build ID: (\w+)", readelf("-n", files["pie"]))[1]
        assert f"Entry point address:               {elf.entry:#x}" in readelf("-h", files["pie"])
    assert Elf.open(files["exec"]).etype == ET_EXEC
    with Elf.open(files["object"].read_bytes()) as elf:
        assert elf.build_id == ""
        assert elf.segments == ()


def os_machine():
    return {"x86_64": EM_X86_64, "aarch64": 183}[os.uname().machine]


def test_bpf_object(files):
    with Elf.open(files["bpf"]) as elf:
        assert elf.machine == EM_BPF
        assert elf.section_bytes("license") == b"GPL\0"
        assert struct.unpack("<i", elf.section_bytes(".rodata")) == (7,)
        assert elf.sections["raw_tp/sys_enter"].executable
        assert elf.section_bytes(".BTF")[:2] == b"\x9f\xeb"
        symbols = elf.symbols()
        assert {"enter", "setting", "LICENSE"} <= set(symbols.names())
        assert symbols.name(symbols.names().index("enter")) == "enter"
        assert symbols.table.dtype == SYMBOL


def test_other_classes_and_byte_orders(files):
    big, small = Elf.open(files["big"]), Elf.open(files["small"])
    assert (big.bits, big.byteorder) == (32, "big")
    assert (small.bits, small.byteorder) == (32, "little")
    for elf in (big, small):
        assert {"work", "shared"} <= set(elf.symbols().names())
        assert elf.symbols().table["value"].dtype == np.dtype("u8")
        elf.close()


def test_bss_is_empty_and_compressed_sections_say_so(files, tmp_path):
    with Elf.open(files["pie"]) as elf:
        assert elf.section_bytes(".bss") == b""
        assert elf.sections[".bss"].size > 0
        assert not elf.sections[".text"].compressed
    packed = tmp_path / "packed"
    source = MAIN + "\n".join(f"int f{n}(int x) {{ return x + {n}; }}" for n in range(50))
    packed = compiled(tmp_path, "packed", source, "gcc", "-g", "-gz=zlib")
    with Elf.open(packed) as elf:
        assert elf.sections[".debug_info"].compressed


def test_a_missing_section_and_a_closed_file_are_errors(files):
    elf = Elf.open(files["pie"])
    with pytest.raises(ObjectFormatError, match="no section"):
        elf.section_bytes(".nothing")
    elf.close()
    elf.close()
    with pytest.raises(ObjectFormatError, match="closed"):
        elf.section_bytes(".text")


def test_what_is_not_a_file_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("#!/bin/sh\nexit\n" * 10)
    (tmp_path / "empty").write_bytes(b"")
    for path in (tmp_path / "pipe", tmp_path / "text", tmp_path / "empty", tmp_path, "/dev/null"):
        with pytest.raises(ObjectFormatError):
            Elf.open(path)
    with pytest.raises(ObjectFormatError):
        Elf.open(tmp_path / "nothing")
    with pytest.raises(ObjectFormatError):
        Elf.open("with\0zero")


def test_no_descriptor_stays_open(files, tmp_path):
    (tmp_path / "bad").write_bytes(b"\x7fELF" + b"\xff" * 100)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        Elf.open(files["pie"]).close()
        with pytest.raises(ObjectFormatError):
            Elf.open(tmp_path / "bad")
    assert len(os.listdir("/proc/self/fd")) == before


def header(**changes):
    """Return a 64-bit little-endian header with some fields set."""
    values = {
        **{"type": 2, "machine": 62, "version": 1, "entry": 0, "phoff": 0, "shoff": 0},
        **{"flags": 0, "ehsize": 64, "phentsize": 56, "phnum": 0},
        **{"shentsize": 64, "shnum": 0, "shstrndx": 0},
    }
    values.update(changes)
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", *values.values())


def section(name=0, kind=0, offset=0, size=0, link=0, info=0):
    return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, link, info, 0, 0)


def test_extended_numbering():
    names = b"\0first\0"
    at = 64 + 2 * 64
    body = section(size=2, link=1) + section(1, 3, at, len(names)) + names
    with Elf.open(header(shoff=64, shnum=0, shstrndx=0xFFFF) + body) as elf:
        assert [s.name for s in elf.section_list] == ["", "first"]
        assert elf.section_bytes("first") == names


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (header(shoff=64, shnum=2) + section(), "section headers reaches beyond"),
        (header(shoff=2**64 - 1, shnum=1), "section headers reaches beyond"),
        (header(shoff=64, shnum=1, shentsize=40) + section(), "section headers have another size"),
        (header(shoff=64) + section(size=MAX_SECTIONS + 1), "65537 sections"),
        (header(shoff=64) + section(size=2**63), "sections, more than"),
        (header(phoff=64, phnum=1), "program headers reaches beyond"),
        (header(phoff=64, phnum=1, phentsize=32) + section(), "program headers have another size"),
        (header(phoff=64, phnum=0xFFFE), "segments, more than"),
        (b"\x7fELF\x03\x01\x01".ljust(64, b"\0"), "does not start like one"),
    ],
)
def test_malformed_headers(content, why):
    with pytest.raises(ObjectFormatError, match=why):
        Elf.open(content)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (section(0, 2, 0, 2**40, 1), "symbols, more than"),
        (section(0, 2, 0, 24, 9), "no string table"),
        (section(0, 2, 2**20, 24, 0), "no string table"),
        (section(0, 2, 2**20, 24, 1), "reaches beyond"),
    ],
)
def test_malformed_symbol_tables(table, why):
    elf = Elf.open(header(shoff=64, shnum=2) + section() + table)
    with pytest.raises(ObjectFormatError, match=why):
        elf.symbols()


def test_a_sparse_file_takes_no_memory(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(header(shoff=64, shnum=3) + section())
        file.write(section(0, 2, 0, 24 << 20, 2) + section(0, 3, 0, 1 << 41))
        file.truncate(1 << 42)
    with Elf.open(path) as elf, pytest.raises(ObjectFormatError, match="bytes, more than"):
        elf.symbols()


def test_long_names_are_cut_and_shared_tails_are_bounded():
    names = b"\0" + b"a" * 200_000
    count = 200_000
    table = np.zeros(count, [("name", "<u4"), ("rest", "V20")])
    table["name"] = np.arange(count) // 2 + 1
    at = 64 + 3 * 64
    head = header(shoff=64, shnum=3) + section() + section(0, 2, at, count * 24, 2)
    head += section(0, 3, at + count * 24, len(names))
    with Elf.open(head + table.tobytes() + names) as elf:
        symbols = elf.symbols()
        assert len(symbols) == count
        assert symbols.name(0) == "a" * MAX_NAME
        with pytest.raises(ObjectFormatError, match="too long together"):
            symbols.names()


def test_a_file_that_shrinks_while_it_is_read(files, tmp_path):
    path = tmp_path / "shrinks"
    shutil.copy(files["pie"], path)
    with Elf.open(path) as elf:
        os.truncate(path, 100)
        with pytest.raises(ObjectFormatError, match="cut off"):
            elf.section_bytes(".text")


def read_everything(content):
    with Elf.open(content) as elf:
        _ = elf.build_id
        for each in elf.section_list:
            elf.section_bytes(each)
        for kind in (SHT_SYMTAB, SHT_DYNSYM):
            elf.symbols(kind).names()


def mutated(content, rng):
    """Return the file with damage: bits, words set to limits, cuts, copied blocks."""
    data = bytearray(content)
    # Headers are where damage matters: half of it goes there.
    tables = int.from_bytes(data[40:48], "little")
    for _ in range(rng.randint(1, 8)):
        places = [range(64), range(min(tables, len(data) - 1), len(data)), range(len(data))]
        at = rng.choice(rng.choice([place for place in places if len(place)]))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            limit = rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 2**63, 2**64 - 1, len(data)])
            data[at : at + 8] = limit.to_bytes(8, "little")
        elif kind == 2:
            del data[rng.randrange(at, len(data)) :]
            data = data or bytearray(b"\x7f")
        else:
            data[at : at + 32] = data[rng.randrange(len(data)) :][:32]
        if len(data) < 64:
            break
    return bytes(data)


def test_mutated_files_are_read_or_refused(files):
    rng = random.Random(2026)
    contents = [path.read_bytes() for path in files.values()]
    outcomes = {"read": 0, "refused": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for turn in range(3500):
        content = mutated(contents[turn % len(contents)], rng)
        start = time.perf_counter()
        try:
            read_everything(content)
            outcomes["read"] += 1
        except ObjectFormatError as error:
            outcomes["refused"] += bool(error.why)
        slowest = max(slowest, time.perf_counter() - start)
    assert min(outcomes.values()) > 300
    assert slowest < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_reads_the_interpreter_that_runs_this_test():
    path = Path(sys.executable).resolve()
    with Elf.open(path) as elf:
        assert elf.machine == os_machine()
        assert len(elf.symbols(SHT_DYNSYM)) > 0


def test_bytes_at_an_address_are_those_that_are_loaded(files):
    with Elf.open(files["pie"]) as elf:
        text = elf.sections[".text"]
        assert elf.bytes_at(text.addr, text.size) == elf.section_bytes(".text")
        last = max(s.vaddr + s.filesz for s in elf.loads)
        assert len(elf.bytes_at(last - 3, 100)) == 3
        assert elf.bytes_at(last + (1 << 32), 8) == b""
