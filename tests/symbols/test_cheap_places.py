"""Places where a probe needs no single step: as an assembler encodes what functions begin with."""

import subprocess

import pytest
from programs import compiled

from workbench.elf import Elf
from workbench.elf_format import EM_AARCH64, EM_X86_64
from workbench.symbols.cheap_places import ALL, LOOKED_AT, cheap_place

BEGINNINGS = {
    # beginning: instructions before the place
    "push %rbp; mov %rsp,%rbp": 0,
    "push %r12": 0,
    "nop; push %rbp": 0,
    "jmp 1f; 1: ret": 0,
    "test %rdi,%rdi; je 1f; push %rbp; 1: ret": 1,  # free() of glibc
    "test %edi,%edi; jne 1f; 1: ret": 1,
    "cmp $8,%rdi; ja 1f; .skip 300; 1: ret": 1,  # a far jump
    "endbr64; push %rbx": 1,
    "endbr64; test %rdi,%rdi; je 1f; 1: ret": 2,
    "mov %rdi,%rax; push %rbx": 1,
    "xor %eax,%eax; mov %rsi,%r8; push %r15": 2,
    # What must not be passed: arguments change, the stack moves, memory is touched, a loop begins.
    "mov %rsi,%rdi; push %rbx": 0,
    "xor %edx,%edx; push %rbx": 0,
    "sub $8,%rsp; push %rbx": 0,
    "mov %rdi,%rsp; push %rbx": 0,
    "cmpb $0,8(%rdi); je 1f; 1: ret": 0,
    "mov %rdi,%rax; 1: test %rax,%rax; jne 1b; ret": 0,
    "mov %rdi,%rax; mov %rdi,%rcx; mov %rdi,%r8; mov %rdi,%r9; mov %rdi,%r10; push %rbx": 0,
    "ret": 0,
}


def assembled(folder, text):
    """Code of a beginning, and the addresses of its instructions as objdump has them."""
    source = f'asm(".text; .globl begin; begin: {text}; ret; .skip 64, 0xcc");'
    path = compiled(folder, "begin.so", source, "gcc", "-shared", "-nostdlib", "-fPIC")
    told = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", "--disassemble=begin", path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    places = [
        int(line.split(":")[0], 16) for line in told.splitlines() if line.startswith(("  ", " "))
    ]
    with Elf.open(path) as elf:
        code = elf.bytes_at(places[0], LOOKED_AT)
    return code, [place - places[0] for place in places]


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_place_is_the_first_that_is_emulated(tmp_path, beginning):
    code, places = assembled(tmp_path, beginning)
    assert cheap_place(code, EM_X86_64) == places[BEGINNINGS[beginning]]


def test_all_arguments_are_kept_where_they_are_wanted(tmp_path):
    for written, expected in (("%rcx", 0), ("%r8", 0), ("%r9", 0), ("%r10", 1), ("%rax", 1)):
        code, places = assembled(tmp_path, f"mov %rdi,{written}; push %rbx")
        assert cheap_place(code, EM_X86_64) == places[1]
        assert cheap_place(code, EM_X86_64, ALL) == places[expected], written


def test_other_machines_have_their_entries(tmp_path):
    code, _ = assembled(tmp_path, "endbr64; push %rbx")
    assert cheap_place(code, EM_AARCH64) == 0


def test_code_that_ends_early():
    for size in range(8):
        assert cheap_place(b"\x48\x85\xff\x0f\x84\x00\x00\x00"[:size], EM_X86_64) in (0, 3)
    assert cheap_place(b"", EM_X86_64) == 0
