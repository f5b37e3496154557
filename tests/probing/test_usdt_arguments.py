"""Arguments of static probes, as assemblers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import AttachError
from workbench.probing.operands import KERNEL, USER, Operand
from workbench.probing.registers import MACHINES
from workbench.probing.usdt_arguments import parse, same_types

X86, ARM = MACHINES["x86_64"], MACHINES["aarch64"]


@pytest.mark.parametrize(
    ("machine", "text", "size", "signed", "chain"),
    [
        (X86, "-4@%edi", 4, True, (112,)),
        (X86, "8@%rax", 8, False, (80,)),
        (X86, "1@%r8b", 1, False, (72,)),
        (X86, "8@-16(%rbp)", 8, False, (32, -16)),
        (X86, "-4@(%rsp)", 4, True, (152, 0)),
        (X86, "4@0x10(%rdx)", 4, False, (96, 16)),
        (X86, "8@8+4(%rsp)", 8, False, (152, 12)),
        (X86, "%rsi", 8, False, (104,)),
        (ARM, "-4@x1", 4, True, (8,)),
        (ARM, "4@w3", 4, False, (24,)),
        (ARM, "8@[sp, 12]", 8, False, (248, 12)),
        (ARM, "8@[x19, -8]", 8, False, (152, -8)),
        (ARM, "-8@[x2]", 8, True, (16, 0)),
    ],
)
def test_registers_and_memory(machine, text, size, signed, chain):
    (found,) = parse(text, machine)
    assert (found.source, found.type.size, found.type.signed) == ("context", size, signed)
    assert found.chain == chain
    assert found.memory == (KERNEL, USER)[: len(chain)]


@pytest.mark.parametrize(
    ("machine", "text", "value"),
    [(X86, "-4@$-7", -7), (X86, "8@$0x10", 16), (ARM, "-4@#3", 3), (ARM, "8@12", 12)],
)
def test_constants(machine, text, value):
    (found,) = parse(text, machine)
    assert (found.source, found.chain) == ("constant", (value,))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8@(%rax,%rbx,8)", "none that probes can read"),
        ("8@symbol(%rip)", "none that probes can read"),
        ("8f@%xmm0", "floating-point"),
        ("16@%rax", "16 bytes"),
        ("4@%xmm0", "none that probes can read"),
        ("4@$04", "none that probes can read"),  # octal, or not?
        ("4@-08(%rbp)", "none that probes can read"),
    ],
)
def test_what_cannot_be_read(text, reason):
    (found,) = parse(text, X86)
    assert reason in found


def test_several_and_none():
    assert parse("", X86) == []
    found = parse("-4@%edi 8@-16(%rbp) 8@$7", X86)
    assert [a.source for a in found] == ["context", "context", "constant"]
    found = parse("-4@[sp, 12] 8@x0", ARM)
    assert [a.chain for a in found] == [(248, 12), (0,)]


def test_one_type_at_all_places():
    variants = [parse("-4@%edi 8@%rsi 2@$3", X86), parse("-8@%rcx 8@%rsi -4@%edx", X86)]
    first, second = same_types(variants)
    assert [a.type.size for a in first] == [a.type.size for a in second] == [8, 8, 8]
    assert (first[0].bits, first[0].type.signed) == ((0, 32), True)
    assert second[0].bits == (0, 0)
    assert first[1].bits == (0, 0)
    assert (second[2].bits, second[2].type.signed) == ((0, 32), True)
    assert same_types([parse("-4@%edi", X86)])[0][0].type.size == 4
    with pytest.raises(AttachError, match="different numbers"):
        same_types([parse("8@%rdi", X86), []])


@given(st.text(alphabet="-+48f@%$()[],. xspradiw0", max_size=40))
def test_any_text(text):
    for machine in (X86, ARM):
        for found in parse(text, machine):
            assert isinstance(found, Operand | str)
