"""Instructions, one by one; whole files of them are compared in test_eh_frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.unwind import cfi
from workbench.unwind.cfi import RBP, RSP, UNKNOWN, Factors, State, Undefined, run

CALL = State(RSP, 8, None, -8)  # at the first instruction of a function
F = Factors(code=1, data=-8, initial=CALL)
PUSHED = State(RBP, 16, -16, -8)


def final(code):
    return run(code, F)[-1][1]


def test_restored_to_what_the_cie_says():
    initial = State(RSP, 8, -16, -8, -24)
    factors = Factors(code=1, data=-8, initial=initial)
    assert run(bytes.fromhex("8605 8306 41 c6 c3 d0"), factors) == [
        (0, State(RSP, 8, -40, -8, -48)),
        (1, initial),
    ]


def test_a_function_with_a_frame_pointer():
    code = bytes.fromhex("41 0e10 8602 43 0d06 0240 0c0708 c6")  # push; mov; ...; leave
    assert run(code, F) == [
        (0, CALL),
        (1, State(RSP, 16, -16, -8)),
        (4, PUSHED),
        (4 + 0x40, CALL),
    ]


def test_remembered_states_come_back_with_their_cfa():
    code = bytes.fromhex("0a 41 0e10 8602 0a 41 0e20 0b 41 0b 41 0e18")
    pushed = State(RSP, 16, -16, -8)
    assert run(code, F) == [(0, CALL), (1, pushed), (3, CALL), (4, State(RSP, 24, None, -8))]


@pytest.mark.parametrize(
    ("code", "by"),
    [("45", 5), ("02ff", 255), ("030201", 0x102), ("0401020300", 0x030201), ("1d05" + "00" * 7, 5)],
)  # fmt: skip
def test_advances_are_multiplied(code, by):
    rows = run(bytes.fromhex(code + "0e10"), Factors(code=4, data=-8, initial=CALL))
    assert rows == [(0, CALL), (by * 4, State(RSP, 16, None, -8))]


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("0c0610", State(6, 16, None, -8)),  # def_cfa
        ("12067e", State(6, 16, None, -8)),  # def_cfa_sf
        ("0d06", State(6, 8, None, -8)),  # def_cfa_register
        ("0e8001", State(RSP, 128, None, -8)),  # def_cfa_offset
        ("137e", State(RSP, 16, None, -8)),  # def_cfa_offset_sf
        ("0f027600", State(b"\x76\x00", 0, None, -8)),  # def_cfa_expression
        ("8602", State(RSP, 8, -16, -8)),  # offset
        ("050602", State(RSP, 8, -16, -8)),  # offset_extended
        ("110602", State(RSP, 8, -16, -8)),  # offset_extended_sf
        ("2f0602", State(RSP, 8, 16, -8)),  # GNU_negative_offset_extended
        ("8602c6", CALL),  # restore
        ("86020606", CALL),  # restore_extended
        ("86020806", CALL),  # same_value
        ("0706", State(RSP, 8, Undefined.UNDEFINED, -8)),  # undefined
        ("0710", State(RSP, 8, None, Undefined.UNDEFINED)),
        ("0710d0", CALL),
        ("09100c", State(RSP, 8, None, Undefined.OTHER)),  # register
        ("140602", State(RSP, 8, Undefined.OTHER, -8)),  # val_offset
        ("150602", State(RSP, 8, Undefined.OTHER, -8)),  # val_offset_sf
        ("1606027600", State(RSP, 8, Undefined.OTHER, -8)),  # val_expression
        ("1006027600", State(RSP, 8, b"\x76\x00", -8)),  # expression
        ("2e10", CALL),  # GNU_args_size
        ("8302", State(RSP, 8, None, -8, -16)),  # rbx
        ("8302c3", CALL),
        ("83020603", CALL),
        ("0703", State(RSP, 8, None, -8, Undefined.UNDEFINED)),
        ("8c03" "050c02" "cc", CALL),  # another register: r12
        ("000000", CALL),  # nop
    ],
)  # fmt: skip
def test_each_instruction(code, state):
    assert final(bytes.fromhex(code)) == state


@pytest.mark.parametrize(
    "code",
    ["0b", "02", "0401", "0e", "0e80", "0f05", "3f", "1c", "01" + "00" * 8, "0f02760013" "01",
     "0f0276000e08", "0f0276000d06", "10060576", "86" + "ff" * 20],
)  # fmt: skip
def test_nonsense_is_unknown_from_there_on(code):
    assert run(bytes.fromhex("410e10 41" + code), F)[-1] == (2, UNKNOWN)


def test_limits():
    assert run(b"\0" * (cfi.MAX_PROGRAM + 1), F) == [(0, UNKNOWN)]
    huge = Factors(code=1 << 100, data=-8, initial=CALL)
    assert run(b"\x41\x41", huge)[-1][1] == UNKNOWN


@given(st.binary(max_size=200))
def test_anything_gives_growing_rows(code):
    rows = run(code, F)
    deltas = [delta for delta, _ in rows]
    assert deltas[0] == 0
    assert deltas == sorted(set(deltas))
    assert len(rows) <= len(code) + 1
