"""Operands: chains of offsets to what an expression means."""

import pytest

from workbench.ctype import ARRAY, CHAR, FLOAT, INT, NUMBERS, STRUCT, CType, Member, pointer_to
from workbench.errors import ParameterError
from workbench.probing.operands import EITHER, KERNEL, MAX_STEPS, USER, Operand

I32, U16, I64 = NUMBERS["i32"], NUMBERS["u16"], NUMBERS["i64"]


def struct(size=24, **members):
    return CType(STRUCT, "thing", size, members=lambda: members)


THING = struct(
    a=Member(lambda: I32, 0),
    self=Member(lambda: pointer_to(THING), 64),
    bits=Member(lambda: I32, 32 + 3, 5),
    text=Member(lambda: CType(ARRAY, "char[6]", 6, count=6, target=lambda: CHAR), 128),
    real=Member(lambda: CType(FLOAT, "double", 8), 128),
)
POINTER = Operand("context", pointer_to(THING), "p", (112,), (KERNEL,), USER)


def test_members_behind_pointers():
    deep = POINTER.member("self").member("self").member("a")
    assert deep.chain == (112, 8, 8, 0)
    assert deep.memory == (KERNEL, USER, USER, USER)
    assert (deep.type, deep.text) == (I32, "p.self.self.a")


def test_members_of_structs_that_are_there():
    whole = Operand("context", THING, "s", (16,), (KERNEL,), EITHER)
    assert whole.member("a").chain == (16,)
    assert whole.member("self").chain == (24,)


def test_bit_fields_lie_in_a_word_of_their_type():
    field = POINTER.member("bits")
    assert field.chain == (112, 4)
    assert field.bits == (3, 5)
    packed = struct(odd=Member(lambda: I32, 30, 5))
    with pytest.raises(ParameterError, match="spans two words"):
        Operand("context", packed, "s", (0,), (KERNEL,)).member("odd")


def test_texts():
    inside = POINTER.member("text")
    assert inside.value().chain == (112, 16)
    pointer = Operand("context", pointer_to(CHAR), "t", (8,), (KERNEL,), USER)
    assert pointer.value().chain == (8, 0)
    assert pointer.value().memory == (KERNEL, USER)
    word = Operand("context", NUMBERS["u64"], "arg0", (8,), (KERNEL,), USER)
    assert word.value() is word
    assert word.as_text("str(arg0)").chain == (8, 0)
    with pytest.raises(ParameterError, match="no text"):
        POINTER.member("a").as_text("str(p.a)")


def test_elements_and_moved_pointers():
    row = Operand("context", CType(ARRAY, "int[4]", 16, count=4, target=lambda: I32), "r", (8,),
                  (KERNEL,))  # fmt: skip
    assert row.item(3).chain == (20,)
    for index in (4, -1):
        with pytest.raises(ParameterError, match="outside"):
            row.item(index)
    behind = Operand("context", pointer_to(U16), "p", (8,), (KERNEL,), USER)
    assert behind.item(3).chain == (8, 6)
    moved = behind.plus(2, "p + 2")
    assert moved.follow().chain == (8, 4)
    with pytest.raises(ParameterError, match="only be followed"):
        moved.value()


def test_what_is_no_column():
    for operand, advice in (
        (Operand("context", THING, "s", (0,), (KERNEL,)), "Take a member: a"),
        (POINTER.member("real"), ""),
        (Operand("context", CType(ARRAY, "int[4]", 16, count=4, target=lambda: I32), "r", (8,),
                 (KERNEL,)), "r[0]"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match="cannot be a column") as caught:
            operand.value()
        assert advice in caught.value.advice


def test_wrong_steps():
    with pytest.raises(ParameterError, match="no member b") as caught:
        POINTER.member("b")
    assert "bits" in caught.value.advice or "It has" in caught.value.advice
    number = POINTER.member("a")
    for wrong in (lambda: number.member("x"), lambda: number.item(0)):
        with pytest.raises(ParameterError, match=r"p\.a has no"):
            wrong()
    long = POINTER
    with pytest.raises(ParameterError, match="pointers to follow"):
        for _ in range(MAX_STEPS):
            long = long.member("self")


def test_casts():
    word = Operand("context", NUMBERS["u64"], "arg0", (8,), (KERNEL,), USER)
    assert word.cast(I32, "i32(arg0)").type == I32
    assert word.cast(pointer_to(I64), "i64p(arg0)").item(2).chain == (8, 16)
    with pytest.raises(ParameterError, match="no number"):
        Operand("context", THING, "s", (0,), (KERNEL,)).cast(I32, "i32(s)")
    assert word.type.kind == INT
