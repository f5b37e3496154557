"""What is followed in arrays is what is followed one by one."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.elf import Elf
from workbench.unwind import cfi_bulk as module
from workbench.unwind.cfi import MAX_DELTA, RBP, RSP, Factors, State, Undefined, run
from workbench.unwind.cfi_bulk import run_many
from workbench.unwind.cie import Cie
from workbench.unwind.eh_frame import eh_frame
from workbench.unwind.entries import read_entries
from workbench.unwind.rules import rule_bits

CALL = State(RSP, 8, None, -8)
SAVED = State(RSP, 8, -16, -8, -24)
CIES = [Cie(Factors(1, -8, CALL), 0, True), Cie(Factors(4, -4, SAVED), 0, True)]
BEGIN = "0e10 8602"  # push %rbp


def one_by_one(distinct, programs):
    found = []
    for program in programs:
        cie, code = distinct[program]
        rules = [(delta, rule_bits(state)) for delta, state in run(code, cie.factors)]
        for at, (delta, rule) in enumerate(rules):
            if not at or rule != rules[at - 1][1]:
                found.append((program, delta, rule))
    return found


def check(distinct):
    """Compare; return which programs were left out."""
    rows, others = run_many(distinct)
    left = set(others.tolist())
    followed = [number for number in range(len(distinct)) if number not in left]
    assert list(zip(*(column.tolist() for column in rows), strict=True)) == one_by_one(
        distinct, followed
    )
    return sorted(left)


def check_texts(*texts, cie=CIES[0]):
    return check([(cie, bytes.fromhex(text)) for text in texts])


def test_usual_functions():
    assert check_texts(
        "41 0e10 8602 43 0d06 0240 0c0708 c6",  # push; mov; ...; leave
        "41 0e10 8303 44 0e8001 030201 0e10 0401020300 0e08 00 00",
        "0a 41 0e10 8602 0a 41 0e20 0b 41 0b 41 0e18",
        "8d03 8c04 41 2e10 2e00 8cff01 40 41 cc",
        "0c0610", "0c868000 10", "900141d0", "9002", "860141c6",
    ) == []  # fmt: skip


@pytest.mark.parametrize("cie", CIES)
def test_states_that_are_gone_back_to(cie):
    back = "41 0a 0e18 42 0b"
    assert check_texts(
        BEGIN + back * 40,  # each in what the one before has left
        "0a" * 30 + "41 0e18 8303 " + "0b 41 " * 30,
        "41 0a 41 0a 41 0e20 41 0b 41 0b 0a 41 0e28 41 0b",
        "0a0b 41 0a 0e10 0b 41 0e10",
        "0a 41 0a 42 0e10",  # for ever
        cie=cie,
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "0b", "41 0a 0b 0b", "02", "41 0401", "0e", "0e80", "0f05", "3f", "0f02760013" "01", "1c",
     "86" + "ff" * 20, "0e80808001", "0c87808080000e", "0c07", "0710", "01" + "00" * 8],
)  # fmt: skip
def test_others_are_left_out_alone(text):
    usual = "41 0e10"
    assert check_texts(usual, text, usual) == [1]
    assert check_texts(*[usual] * 40, BEGIN + text if text else text, *[usual] * 40) == [40]


@pytest.mark.parametrize(
    "factors",
    [
        Factors(65, -8, CALL), Factors(0, -8, CALL), Factors(1, -65, CALL), Factors(-1, -8, CALL),
        Factors(1, -8, State(b"\x77\x08", 0)), Factors(1, -8, CALL._replace(rbp=b"\x76\0")),
        Factors(1, -8, CALL._replace(returns=Undefined.UNDEFINED)),
        Factors(1, -8, CALL._replace(rbx=MAX_DELTA)), Factors(1, -8, State(RSP, MAX_DELTA)),
    ],
)  # fmt: skip
def test_cies_that_say_more_than_small_numbers(factors):
    assert check([(CIES[0], b"\x41"), (Cie(factors, 0, True), b"\x41\x0e\x10")]) == [1]


@pytest.mark.parametrize("state", [State(-1), State(RBP, 16), State(RSP, 12, None, -8), SAVED])
def test_what_no_row_can_say_is_bad(state):
    cie = Cie(Factors(1, -8, state), 0, True)
    assert check_texts("41 0e0c 41 0e10 41 8600 41 8680808001", "41 0c0710 8303 8610", cie=cie) in (
        [], [0],
    )  # fmt: skip


def test_long_programs(monkeypatch):
    """Longer than those that go side by side; and longer than any is read."""
    long = BEGIN + "41 0e18 42 0e10 " * 2 * module.MAX_STEPS
    texts = [long] * 3 + [BEGIN] * 100 + [long + "0b", long + "0e"]
    assert check_texts(*texts) == [103, 104]
    monkeypatch.setattr(module, "MAX_PROGRAM", len(bytes.fromhex(long)))
    assert check_texts(long, long + "00", "41") == [1]
    assert check_texts(*["0402000080 0e10" * 2] * 2, "41", cie=CIES[1]) == [0, 1]  # MAX_DELTA


def test_parts(monkeypatch):
    texts = [BEGIN, "41 0e10", "0b", BEGIN + "42 0e18", "41", "", "3f", BEGIN]
    monkeypatch.setattr(module, "MAX_TOGETHER", 6)
    assert check_texts(*texts) == [2, 5, 6]


def test_nothing():
    rows, others = run_many([])
    assert [len(column) for column in rows] == [0, 0, 0]
    assert not len(others)
    assert check_texts("") == [0]


NUMBERS = st.sampled_from(
    ["00", "02", "03", "08", "10", "18", "7f", "8001", "ff7f", "8002", "80808001"]
)
INSTRUCTIONS = st.one_of(
    st.sampled_from(["00", "41", "7f", "40", "0210", "030002", "0400010000", "0a", "0b", "c6"]),
    st.sampled_from(["c3", "d0", "cc", "0f03770806", "0706", "0a0e18", "0b0d06"]),
    st.builds(
        str.__add__, st.sampled_from(["0e", "0d", "83", "86", "8c", "90", "2e", "0c07"]), NUMBERS
    ),
)
SENSIBLE = st.lists(INSTRUCTIONS, max_size=12).map("".join).map(bytes.fromhex)
PROGRAMS = st.lists(st.one_of(SENSIBLE, st.binary(max_size=9)), max_size=80)


@settings(deadline=None)
@given(PROGRAMS, st.integers(0, 3))
def test_any_programs(programs, cies):
    check([(CIES[cies >> number % 2 & 1], code) for number, code in enumerate(programs)])


@pytest.mark.parametrize("path", [shutil.which("sh"), np._core._multiarray_umath.__file__])
def test_those_of_whole_files(path):
    with Elf.open(path) as elf:
        distinct = read_entries(eh_frame(elf)).distinct
    assert len(distinct) > 100
    assert len(check(distinct)) < 0.1 * len(distinct)
