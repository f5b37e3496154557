"""Frames whose CFA is told by rbx, below functions that saved it at known places."""

from collections import Counter

import polars as pl
import pytest
from programs import compiled
from stack_programs import stacks_of

import workbench as wb

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
# Each function saves rbx, destroys it, and spends its time: `near` and `far` at the 15th and 16th
# word below the CFA, of which a row can tell the first; `realigned` in a frame that has a DRAP.
SOURCE = r"""
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUNCTION(name) ".type " #name ",@function\n" #name ": .cfi_startproc\n"
#define END(name) "ret\n.cfi_endproc\n.size " #name ",.-" #name "\n"
#define SPIN "xor %ebx,%ebx\n mov $100000,%ecx\n 1: dec %ecx\n jnz 1b\n"
#define SAVING(name, slot, place)                                                      \
	FUNCTION(name)                                                                 \
	"sub $136,%rsp\n .cfi_def_cfa_offset 144\n mov %rbx," slot "(%rsp)\n"          \
	".cfi_offset %rbx," place "\n" SPIN "mov " slot "(%rsp),%rbx\n"                \
	".cfi_restore %rbx\n add $136,%rsp\n .cfi_def_cfa_offset 8\n" END(name)

__asm__(".text\n"
	FUNCTION(by_rbx)
	"push %rbx\n .cfi_def_cfa_offset 16\n .cfi_offset %rbx,-16\n"
	"mov %rsp,%rbx\n .cfi_def_cfa_register %rbx\n and $-64,%rsp\n call *%rdi\n"
	"mov %rbx,%rsp\n .cfi_def_cfa_register %rsp\n"
	"pop %rbx\n .cfi_restore %rbx\n .cfi_def_cfa_offset 8\n"
	END(by_rbx)
	SAVING(near, "24", "-120")
	SAVING(far, "16", "-128")
	FUNCTION(realigned)
	"lea 8(%rsp),%r10\n .cfi_def_cfa %r10,0\n and $-32,%rsp\n push -8(%r10)\n push %rbp\n"
	".cfi_escape 0x10,6,2,0x76,0\n" /* rbp: at rbp */
	"mov %rsp,%rbp\n push %r10\n"
	".cfi_escape 0x0f,3,0x76,0x78,6\n" /* CFA: *(rbp - 8) */
	"push %rbx\n"
	".cfi_escape 0x10,3,2,0x76,0x70\n" /* rbx: at rbp - 16 */
	SPIN
	"pop %rbx\n pop %r10\n .cfi_def_cfa %r10,0\n pop %rbp\n"
	"lea -8(%r10),%rsp\n .cfi_def_cfa %rsp,8\n"
	END(realigned));

void by_rbx(void (*called)(void)), near(void), far(void), realigned(void);

int main(int argc, char **argv)
{
	void (*called)(void) = realigned;

	if (!strcmp(argv[1], "near"))
		called = near;
	if (!strcmp(argv[1], "far"))
		called = far;
	while (clock() < 0.6 * CLOCKS_PER_SEC)
		by_rbx(called);
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rbx")
    return str(compiled(folder, "by_rbx", SOURCE, "gcc", "-O2", "-fomit-frame-pointer"))


def stacks(tmp_path, program, mode):
    session = wb.capture({"cpu": {"hz": 999}}, command=[program, mode], output=tmp_path / "s.wb")
    samples = stacks_of(session).filter(pl.col("names").list.contains(mode))
    return list(samples.select("stack_status", "names").iter_rows())


def is_whole(names, mode):
    main = names.index("main") if "main" in names else -1
    return names[0] == "_start" and names[main : main + 3] == ["main", "by_rbx", mode]


@pytest.mark.parametrize("mode", ["near", "realigned"])
def test_rbx_is_read_where_it_was_saved(tmp_path, program, mode):
    found = stacks(tmp_path, program, mode)
    states = Counter(status for status, _ in found)
    assert states["complete"] > 0.95 * len(found) > 300  # of 600
    assert all(is_whole(names, mode) for status, names in found if status == "complete")


def test_a_place_that_no_row_can_tell_ends_the_stack_and_gives_no_wrong_frames(tmp_path, program):
    found = stacks(tmp_path, program, "far")
    states = Counter(status for status, _ in found)
    assert set(states) <= {"bad_rule", "complete"}  # before it destroys rbx, and behind
    assert states["bad_rule"] > 0.95 * len(found) > 300  # of 600
    for status, names in found:
        assert names[:2] == ["by_rbx", "far"] if status == "bad_rule" else is_whole(names, "far")
