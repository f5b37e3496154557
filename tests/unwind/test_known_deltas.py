"""Rows of functions whose directives are written here, with the rows worked out by hand.

In the manner of tests of other unwinders, which list the deltas of functions that they know.
"""

import shutil
import subprocess

import numpy as np
import pytest
from programs import lines_of

from workbench.elf import Elf
from workbench.unwind.eh_frame import table_of
from workbench.unwind.rows import RBX_LOST, Rule, row_at, unpack

# Each label is where a new row starts; (rule, CFA in words, words from there down to
# the caller's rbp and to its rbx).
KNOWN = {
    # push %rbp; mov %rsp,%rbp: as the System V ABI has it
    "framed_0": (Rule.RSP, 1, 0, 0),
    "framed_1": (Rule.RSP, 2, 2, 0),
    "framed_2": (Rule.RBP, 2, 2, 0),
    "framed_3": (Rule.RSP, 1, 0, 0),
    # two ways out: the second part has the state of before the first's epilogue
    "twice_0": (Rule.RSP, 1, 0, 0),
    "twice_1": (Rule.RSP, 7, 0, 0),
    "twice_2": (Rule.RSP, 1, 0, 0),
    "twice_3": (Rule.RSP, 7, 0, 0),
    # rbp used as any register, saved deep in a large frame
    "large_0": (Rule.RSP, 1, 0, 0),
    "large_1": (Rule.RSP, 3, 3, 2),
    "large_2": (Rule.RSP, 515, 3, 2),
    # rbx saved further below the CFA than a row can say
    "far_0": (Rule.RSP, 18, 0, 0),
    "far_1": (Rule.RSP, 18, 0, 15),
    "far_2": (Rule.RSP, 18, 0, RBX_LOST),
    # rbx keeps what rsp was before the stack is aligned, as in _dl_runtime_resolve
    "bound_0": (Rule.RSP, 3, 0, 0),
    "bound_1": (Rule.RSP, 4, 0, 4),
    "bound_2": (Rule.RBX, 4, 0, 4),
    "bound_3": (Rule.RSP, 4, 0, 4),
    "bound_4": (Rule.RSP, 1, 0, 0),
    # r10 keeps it: no rule can say it
    "other_0": (Rule.RSP, 1, 0, 0),
    "other_1": (Rule.BAD, 0, 0, 0),
    "other_2": (Rule.RSP, 1, 0, 0),
    # rip undefined: the root of a thread
    "root_0": (Rule.END, 0, 0, 0),
    # nothing is said of it: frame pointers
    "unsaid_0": (Rule.FP, 0, 0, 0),
}
SOURCE = """
.text
.macro at name
\\name:
.endm
framed:
.cfi_startproc
at framed_0
    push %rbp
.cfi_def_cfa_offset 16
.cfi_offset %rbp, -16
at framed_1
    mov %rsp, %rbp
.cfi_def_cfa_register %rbp
at framed_2
    pop %rbp
.cfi_def_cfa %rsp, 8
.cfi_restore %rbp
at framed_3
    ret
.cfi_endproc
twice:
.cfi_startproc
at twice_0
    sub $48, %rsp
.cfi_adjust_cfa_offset 48
at twice_1
    test %rdi, %rdi
    je 1f
.cfi_remember_state
    add $48, %rsp
.cfi_def_cfa_offset 8
at twice_2
    ret
.cfi_restore_state
at twice_3
1:  ud2
.cfi_endproc
large:
.cfi_startproc
at large_0
    push %rbx
.cfi_def_cfa_offset 16
.cfi_offset %rbx, -16
    push %rbp
.cfi_def_cfa_offset 24
.cfi_offset %rbp, -24
at large_1
    sub $4096, %rsp
.cfi_def_cfa_offset 4120
at large_2
    ud2
.cfi_endproc
far:
.cfi_startproc
.cfi_def_cfa_offset 144
at far_0
    mov %rbx, 16(%rsp)
.cfi_offset %rbx, -120
at far_1
    mov %rbx, 8(%rsp)
.cfi_offset %rbx, -128
at far_2
    ud2
.cfi_endproc
bound:
.cfi_startproc
.cfi_def_cfa_offset 24
at bound_0
    push %rbx
.cfi_def_cfa_offset 32
.cfi_offset %rbx, -32
at bound_1
    mov %rsp, %rbx
.cfi_def_cfa_register %rbx
at bound_2
    and $-64, %rsp
    mov %rbx, %rsp
.cfi_def_cfa_register %rsp
at bound_3
    mov (%rsp), %rbx
    add $24, %rsp
.cfi_def_cfa_offset 8
.cfi_restore %rbx
at bound_4
    ret
.cfi_endproc
other:
.cfi_startproc
at other_0
    mov %rsp, %r10
.cfi_def_cfa %r10, 8
at other_1
    and $-64, %rsp
    mov %r10, %rsp
.cfi_def_cfa %rsp, 8
at other_2
    ret
.cfi_endproc
root:
.cfi_startproc
.cfi_undefined %rip
at root_0
    ud2
.cfi_endproc
at unsaid_0
    ud2
.section .note.GNU-stack,"",@progbits
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    path = tmp_path_factory.mktemp("known") / "known.so"
    command = ["gcc", "-shared", "-nostdlib", "-x", "assembler", "-", "-o", path]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return path


def test_rows_are_those_worked_out_by_hand(library):
    with Elf.open(library) as elf:
        table = table_of(elf)
        (code,) = (load for load in elf.loads if load.flags & 1)
    symbols = (line.split() for line in lines_of("nm", library))
    places = {words[-1]: int(words[0], 16) - code.vaddr + code.offset for words in symbols}
    found = {}
    for name in KNOWN:
        row = unpack(np.array([row_at(table.rows, places[name])], np.uint64))
        fields = (row.cfa, row.rbp, row.rbx)
        found[name] = (Rule(row.rule[0]), *(int(each[0]) for each in fields))
    assert found == KNOWN
    assert table.bad_rows == 1
