"""Rows: packing is unpacking's inverse, and C and Python mean the same."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.elf import Elf
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.unwind import rows as r
from workbench.unwind.rows import Rule, pack, row_at, unpack

HEADER = Path(__file__).parents[2] / "bpf" / "tables.bpf.h"
FIELDS = st.tuples(
    st.integers(0, r.MAX_OFFSET),
    st.sampled_from(Rule),
    st.integers(0, r.MAX_CFA),
    st.integers(0, r.MAX_RBP),
    st.integers(0, r.MAX_RBX),
)


@given(st.lists(FIELDS, min_size=1))
def test_unpacks_what_was_packed(fields):
    found = unpack(np.array([pack(*each) for each in fields], np.uint64))
    columns = (found.offset, found.rule, found.cfa, found.rbp, found.rbx)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == fields


@pytest.mark.parametrize(
    "field", [(-1, 1), (1 << 32, 1), (0, 1, 1 << 16), (0, 1, 0, 256), (0, 1, 0, 0, 16)]
)
def test_what_does_not_fit_is_refused(field):
    with pytest.raises(ValueError, match="cannot hold"):
        pack(*field)


def test_rules_are_those_of_the_bpf_side():
    with Elf.open(OBJECTS / "cpu.bpf.o") as elf:
        enum = Btf.parse(elf.section_bytes(".BTF")).enum("wb_rule")
    assert {name.removeprefix("WB_RULE_"): value for name, value in enum.items()} == {
        rule.name: rule.value for rule in Rule
    }


def test_fields_lie_where_the_bpf_side_reads_them():
    macros = re.findall(r"WB_ROW_(\w+)\(row\) \(\(\(row\) >> (\d+)\) & (\w+)\)", HEADER.read_text())
    assert {name: (int(shift), int(mask, 0)) for name, shift, mask in macros} == {
        "RULE": (r.RULE_SHIFT, (1 << r.RULE_BITS) - 1),
        "CFA": (r.CFA_SHIFT, r.MAX_CFA),
        "RBP": (r.RBP_SHIFT, r.MAX_RBP),
        "RBX": (r.RBX_SHIFT, r.MAX_RBX),
    }
    lost = re.search(r"#define WB_RBX_LOST (\d+)", HEADER.read_text())
    assert lost
    assert int(lost[1]) == r.RBX_LOST


def test_the_row_that_holds():
    rows = np.array([pack(16, Rule.RSP, 1), pack(20, Rule.RBP, 2)], np.uint64)
    assert [row_at(rows, offset) for offset in (0, 16, 19, 20, 99)] == [
        pack(0, Rule.FP), rows[0], rows[0], rows[1], rows[1],
    ]  # fmt: skip
