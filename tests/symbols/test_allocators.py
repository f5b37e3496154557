"""Which files are allocators, and where their functions are: as nm has it."""

import subprocess

import pytest
from programs import compiled

from workbench.elf import Elf
from workbench.symbols.allocators import ALLOCATE, allocator_in

LIBRARY = """
#include <stddef.h>
void *malloc(size_t n) { return (void *)n; }
void *calloc(size_t n, size_t m) { return (void *)(n * m); }
void free(void *p) { (void)p; }
void *operator_new(size_t n) __asm__("_Znwm");
void *operator_new(size_t n) { return malloc(n); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("allocator")
    return str(compiled(folder, "liballoc.so", LIBRARY, "gcc", "-shared", "-fPIC", "-fno-builtin"))


def offsets(path):
    """File offsets of the functions, from binutils."""
    told = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout
    words = [line.split() for line in told.splitlines()]
    addresses = {w[2]: int(w[0], 16) for w in words if len(w) == 3 and w[1] == "T"}
    with Elf.open(path) as elf:
        shift = {s.vaddr: s.offset for s in elf.loads}
        return {
            name: next(
                address - s.vaddr + shift[s.vaddr]
                for s in elf.loads
                if s.vaddr <= address < s.vaddr + s.filesz
            )
            for name, address in addresses.items()
        }


def test_an_allocator_with_operators(library):
    found, told = allocator_in(library), offsets(library)
    assert found.allocate == {
        told["malloc"]: "malloc_enter",
        told["calloc"]: "calloc_enter",
        told["_Znwm"]: "malloc_enter",
    }
    assert found.release == (told["free"],)


def test_stripped(library, tmp_path):
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "-o", stripped, library], check=True)
    assert allocator_in(str(stripped)).allocate.keys() == allocator_in(library).allocate.keys()


def test_the_c_library():
    with open("/proc/self/maps") as maps:
        (path,) = {line.split()[-1] for line in maps if "/libc.so" in line}
    found = allocator_in(path)
    assert set(found.allocate.values()) == set(ALLOCATE.values())
    assert len(found.release) == 1


@pytest.mark.parametrize(
    "code", ["int main(void) { return 0; }", "void *malloc(int n) { return 0; }"]
)
def test_files_without(tmp_path, code):
    made = compiled(tmp_path, "none.so", code, "gcc", "-shared", "-fPIC", "-fno-builtin", "-w")
    assert allocator_in(str(made)) is None


def test_what_is_no_elf_file(tmp_path):
    (tmp_path / "x").write_text("#!/bin/sh\n")
    assert allocator_in(str(tmp_path / "x")) is None
    assert allocator_in(str(tmp_path / "none")) is None
