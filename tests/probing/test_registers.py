"""Where arguments are: the rules of the platforms, and the registers' places."""

import subprocess

import pytest
from programs import compiled

from workbench.ctype import FLOAT, NUMBERS, STRUCT, CType, Function, Member, pointer_to
from workbench.errors import UnsupportedKernelError
from workbench.probing.operands import KERNEL, USER
from workbench.probing.registers import MACHINES, in_a_row, in_registers, registers

X86, ARM = MACHINES["x86_64"], MACHINES["aarch64"]
I32, DOUBLE = NUMBERS["i32"], CType(FLOAT, "double", 8)


def struct(size, *kinds):
    members = {f"m{i}": Member(lambda kind=kind: kind, 64 * i) for i, kind in enumerate(kinds)}
    return CType(STRUCT, f"s{size}", size, members=lambda: members)


def test_places_of_registers_are_those_of_the_headers(tmp_path):
    names = [f"r{n}" for n in range(8, 16)]
    names += ["rbp", "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "rsp", "ss"]
    text = "#include <stdio.h>\n#include <stddef.h>\n#include <sys/ptrace.h>\n"
    text += "#include <asm/ptrace.h>\nint main(void) {"
    text += "".join(f'printf("{n} %zu\\n", offsetof(struct pt_regs, {n}));' for n in names) + "}"
    if subprocess.run(["uname", "-m"], capture_output=True, text=True).stdout.strip() != "x86_64":
        pytest.skip("the headers are of another machine")
    path = compiled(tmp_path, "offsets", text, "gcc")
    told = subprocess.run([path], capture_output=True, text=True, check=True).stdout.split()
    offsets = dict(zip(told[::2], map(int, told[1::2]), strict=True))
    assert {name: X86.offsets[name] for name in names} == offsets
    assert X86.offsets["edi"] == X86.offsets["rdi"] == 112
    assert (ARM.offsets["x7"], ARM.offsets["w7"], ARM.offsets["sp"]) == (56, 56, 248)


def test_the_first_ones_are_in_registers_and_the_rest_on_the_stack():
    function = Function(tuple((f"a{i}", I32) for i in range(10)), I32)
    found = in_registers(function, X86, USER, "DWARF").operands
    first = [found[f"a{i}"].chain for i in range(6)]
    assert first == [(X86.offsets[r],) for r in ("rdi", "rsi", "rdx", "rcx", "r8", "r9")]
    assert [found[f"a{i}"].chain for i in (6, 7)] == [(152, 8), (152, 16)]
    assert found["a6"].memory == (KERNEL, USER)
    found = in_registers(function, ARM, USER, "DWARF").operands
    assert found["a7"].chain == (56,)
    assert [found[f"a{i}"].chain for i in (8, 9)] == [(248, 0), (248, 8)]


def test_what_is_not_in_whole_registers():
    function = Function(
        (
            *(("x", DOUBLE), ("pair", struct(16, *[pointer_to(None)] * 2)), ("n", I32)),
            *(("big", struct(24, *[I32] * 3)), ("mixed", struct(16, DOUBLE, I32)), ("m", I32)),
        ),
        I32,
    )
    found = in_registers(function, X86, USER, "DWARF")
    assert "floating-point" in found.reasons["x"]
    assert "2 registers" in found.reasons["pair"]  # rdi and rsi
    assert found.operands["n"].chain == (X86.offsets["rdx"],)
    assert found.operands["big"].chain == (152, 8)
    assert "depend on its members" in found.reasons["mixed"]
    assert found.operands["big"].member("m1").chain == (152, 16)


def test_structs_of_one_word_are_in_a_register():
    found = in_registers(Function((("s", struct(8, NUMBERS["u64"])),), I32), X86, USER, "")
    assert found.operands["s"].member("m0").chain == (112,)


def test_arguments_in_a_row():
    function = Function((("a", I32), ("s", struct(16, I32, I32)), ("b", pointer_to(None))), I32)
    found, end = in_a_row(function, KERNEL, "BTF")
    assert [each.chain for each in found.operands.values()] == [(0,), (8,), (24,)]
    assert end == 32


def test_unknown_machines():
    with pytest.raises(UnsupportedKernelError):
        registers("riscv64")
