"""The unnamed part of an interpreter's loop: found where the compiler put it, and nowhere else."""

import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from workbench.elf import Elf
from workbench.elf_format import SHT_SYMTAB
from workbench.errors import ObjectFormatError
from workbench.symbols.elf_symbols import function_symbols
from workbench.symbols.python_loop import LOOP, PART, loop_symbols

KINDS = {"executable": ("-no-pie",), "position independent": ("-pie",), "library": ("-shared",)}


def source(name=LOOP, targets=256):
    """Make a loop over byte codes, which ends at code 0."""
    bodies = "\n".join(
        f"L{n}: sink[{n}] = sink[{n + 1}] * {n + 3};"
        f" sink[{n + 2}] ^= sink[{n}] / (sink[{n + 5}] | 1);"
        f" if (sink[{n}] == {n}) other({n}); goto *table[*code++];"
        for n in range(1, targets)
    )
    table = ", ".join(f"&&L{n}" for n in range(targets))
    return (
        "volatile long sink[300]; __attribute__((noinline)) void other(int n) { sink[0] = n; }\n"
        f"void {name}(const unsigned char *code) {{\n"
        f" static const void *const table[{targets}] = {{{table}}};\n"
        f" goto *table[*code++];\n{bodies}\nL0: return;\n}}\n"
        f"int main(int count, char **words) {{ {name}((void *)words[count - 1]); return 0; }}\n"
    )


def build(folder, text, kind="executable"):
    """Compile with the profile of a run that uses few of the byte codes."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (folder / "program.c").write_text(text)
    fpic = "-fno-pie" if kind == "executable" else "-fPIC"

    def run(*command):
        subprocess.run(["gcc", "-O2", fpic, *command], check=True, cwd=folder)

    run("-fprofile-generate", "-c", "program.c")
    run("-fprofile-generate", "program.o", "-o", "training", *KINDS["executable"])
    subprocess.run([folder / "training", b"\x02\x04\x06" * 1000], check=True)
    run("-fprofile-use", "-c", "program.c")
    run("program.o", "-o", "program", "-rdynamic", *KINDS[kind])
    return folder / "program"


@pytest.mark.parametrize("kind", KINDS)
def test_the_part_that_the_compiler_split_off(tmp_path, kind):
    path = build(tmp_path, source(), kind)
    with Elf.open(path) as elf:
        symbols = elf.symbols(SHT_SYMTAB)
        known = dict(zip(symbols.names(), symbols.table.tolist(), strict=True))
        found = loop_symbols(elf)
    (address, size, *_) = known[PART]
    assert list(found) == [address]
    assert size <= found[address][0] < size + 64
    assert found[address][1] == PART
    subprocess.run(["strip", path], check=True)
    with Elf.open(path) as elf:
        assert loop_symbols(elf) == found
        table = function_symbols(elf)
        index = table.lookup(np.array([address + size // 2], np.uint64))[0]
        assert table.name(index) == PART


@pytest.mark.parametrize("changes", [{"name": "another"}, {"targets": 200}, {"targets": 20}])
def test_what_is_no_such_loop(tmp_path, changes):
    with Elf.open(build(tmp_path, source(**changes))) as elf:
        assert loop_symbols(elf) == {}


def test_other_programs():
    with Elf.open(sys.executable) as elf:
        assert len(loop_symbols(elf)) <= 1


def test_damaged_files(tmp_path):
    content = build(tmp_path, source()).read_bytes()
    source_of = random.Random(6)
    for _ in range(300):
        damaged = bytearray(content[: source_of.randrange(64, len(content) + 1)])
        for _ in range(source_of.randrange(1, 50)):
            damaged[source_of.randrange(len(damaged))] = source_of.randrange(256)
        try:
            elf = Elf(bytes(damaged))
        except ObjectFormatError:
            continue
        assert len(loop_symbols(elf)) <= 4
