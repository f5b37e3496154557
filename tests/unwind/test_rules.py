"""States that a row can say, and that it cannot."""

import pytest

from workbench.unwind.cfi import RBP, RBX, RSP, UNKNOWN, State, Undefined
from workbench.unwind.rows import RBX_LOST, Rule, pack
from workbench.unwind.rules import rule_bits

PLT = bytes.fromhex("77088000 3f1a3b2a332422")
SIGNAL = State(b"\x77\xa0\x01\x06", 0, b"\x77\xf8\x00", b"\x77\xa8\x01")
DRAP = b"\x76\x78\x06"  # *(rbp - 8)


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        (State(RSP, 8, None, -8), (Rule.RSP, 1)),
        (State(RBP, 16, -16, -8), (Rule.RBP, 2, 2)),
        (State(RSP, 65535 * 8, -255 * 8, -8), (Rule.RSP, 65535, 255)),
        (State(RSP, 8, Undefined.UNDEFINED, -8), (Rule.RSP, 1)),
        (State(RSP, 8, None, Undefined.UNDEFINED), (Rule.END,)),
        (State(b"anything", 0, None, Undefined.UNDEFINED), (Rule.END,)),
        (State(PLT, 0, None, -8), (Rule.PLT, 11)),
        (SIGNAL, (Rule.SIGNAL,)),
        (State(DRAP, 0, b"\x76\x00", -8), (Rule.DRAP, 1, 1)),
        (State(b"\x76\x70\x06", 0, None, -8), (Rule.DRAP, 2, 0)),
        (State(RBX, 56, None, -8, -56), (Rule.RBX, 7, 0, 7)),
        (State(RBX, 56, -16, -8, -24), (Rule.RBX, 7, 2, 3)),
        (State(PLT, 0, None, -8, Undefined.OTHER), (Rule.PLT, 11, 0, RBX_LOST)),
    ],
)
def test_said(state, fields):
    assert rule_bits(state) == pack(0, *fields)


@pytest.mark.parametrize(
    ("where", "field"),
    [
        (None, 0),
        (-16, 2),
        (-120, 15),
        (-128, RBX_LOST),
        (-8, RBX_LOST),  # the return address is there
        (0, RBX_LOST),
        (16, RBX_LOST),  # above the CFA
        (-20, RBX_LOST),
        (Undefined.UNDEFINED, RBX_LOST),
        (Undefined.OTHER, RBX_LOST),
        (b"\x76\x70", RBX_LOST),  # rbp - 16, whatever that is from the CFA
    ],
)
def test_places_of_rbx(where, field):
    assert rule_bits(State(RSP, 8, None, -8, where)) == pack(0, Rule.RSP, 1, 0, field)


@pytest.mark.parametrize(
    ("where", "field"),
    [
        (None, 0),
        (b"\x76\x50", 6),
        (b"\x76\x88\x7f", 15),  # rbp - 120
        (b"\x76\x80\x7f", RBX_LOST),
        (b"\x76\x00", RBX_LOST),
        (b"\x76\x7c", RBX_LOST),
        (b"\x77\x50", RBX_LOST),  # rsp - 48
        (-48, RBX_LOST),  # below the CFA, which lies anywhere above rbp
    ],
)
def test_places_of_rbx_in_realigned_frames(where, field):
    state = State(DRAP, 0, b"\x76\x00", -8, where)
    assert rule_bits(state) == pack(0, Rule.DRAP, 1, 1, field)


@pytest.mark.parametrize(
    "state",
    [
        UNKNOWN,
        State(RSP, 12, None, -8),  # not of whole slots
        State(RSP, -8, None, -8),
        State(RSP, 65536 * 8, None, -8),
        State(RSP, 1 << 90, None, -8),
        State(RSP, 8, -256 * 8, -8),
        State(RSP, 8, 8, -8),  # rbp above the CFA
        State(RSP, 8, 0, -8),
        State(RSP, 8, -12, -8),
        State(RSP, 8, None, -16),  # the return address elsewhere
        State(RSP, 8, None, None),
        State(RSP, 8, None, Undefined.OTHER),
        State(RSP, 8, Undefined.OTHER, -8),
        State(RSP, 8, b"\x76\x00", -8),
        State(10, 0, None, -8),  # relative to r10
        State(RBX, 12, None, -8, -56),
        State(RBX, 56, None, -16, -56),
        State(b"", 0, None, -8),
        State(b"\x06", 0, None, -8),
        State(b"\x76\x80\x06", 0, None, -8),  # a number without an end
        State(b"\x73\x00\x06", 0, None, -8),  # *(rbx)
        State(DRAP, 0, b"\x76\x08", -8),
        State(DRAP, 0, -16, -8),
        State(PLT + b"\x96", 0, None, -8),
        State(PLT, 0, -16, -8),
        State(SIGNAL.cfa, 0, None, SIGNAL.returns),
        State(SIGNAL.cfa, 0, SIGNAL.rbp, b"\x77\xb0\x01"),
    ],
)
def test_not_said(state):
    assert rule_bits(state) == pack(0, Rule.BAD)
