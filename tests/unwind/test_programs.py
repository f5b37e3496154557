"""Rules of small programs equal what their machine code does to the stack.

The code is followed instruction by instruction, from objdump's text: no unwind information of any
reader takes part in what is expected.
"""

import re

import libdw_cfi
import numpy as np
import pytest
import unwind_programs as p
from unwind_compare import compare

from workbench.elf import Elf
from workbench.unwind.eh_frame import table_of
from workbench.unwind.rows import Rule, row_at, unpack


def table(path):
    with Elf.open(path) as elf:
        found = table_of(elf)
        shifts = {load.offset - load.vaddr for load in elf.loads if load.flags & 1}
    assert shifts == {0}  # addresses are file offsets in these programs
    return found


def rule(rows, place):
    fields = unpack(np.array([row_at(rows, place)], np.uint64))
    return Rule(fields.rule[0]), int(fields.cfa[0]), int(fields.rbp[0])


class Stack:
    """Follows straight code: bytes between rsp and the CFA, and where rbp was saved."""

    def __init__(self):
        self.jumps = {}

    def follow(self, listing, depth=8):
        """Yield each address with (depth, depth when rbp became the frame pointer, rbp's place)."""
        pointer = saved = 0
        for address, text in listing:
            depth, pointer, saved = self.jumps.get(address, (depth, pointer, saved))
            yield address, depth, pointer, saved
            match text.split(" ", 1):
                case ["push", what]:
                    depth += 8
                    saved = depth if what == "%rbp" else saved
                case ["pop", _]:
                    depth -= 8
                case ["leave"]:
                    depth, pointer = pointer - 8, 0
                case ["mov", "%rsp,%rbp"]:
                    pointer = depth
                case [name, operands] if re.fullmatch(r"\$0x\w+,%rsp", operands):
                    amount = int(operands[1:].split(",")[0], 16)
                    depth += {"sub": amount, "add": -amount, "and": 0}[name]
                case [name, target] if name.startswith("j"):
                    self.jumps[int(target.split()[0], 16)] = depth, pointer, saved


def check(path, *names):
    """Compare the rows of functions with what their code does; return the rules met."""
    rows, stack, met = table(path).rows, Stack(), set()
    for name in names:
        for address, depth, pointer, saved in stack.follow(p.function(path, name)):
            kind, cfa, rbp = rule(rows, address)
            wanted = (Rule.RBP, pointer) if pointer else (Rule.RSP, depth)
            assert (kind, 8 * cfa) == wanted, hex(address)
            # Compilers do not say that rbp is restored by the last pop; its copy is still there.
            assert 8 * rbp in ((saved,) if depth > 8 else (saved, 0)), hex(address)
            met.add(kind)
    return met


def test_frames_by_rsp(tmp_path):
    path = p.build(tmp_path / "framed", p.FRAMES)
    assert check(path, "framed") == {Rule.RSP}


def test_alloca(tmp_path):
    path = p.build(tmp_path / "alloca", p.ALLOCA)
    assert check(path, "grows") == {Rule.RSP, Rule.RBP}


def test_stacks_aligned_for_vectors(tmp_path):
    path = p.build(tmp_path / "avx", p.AVX, "-mavx2")
    assert any("$0xffffffffffffffe0,%rsp" in text for _, text in p.function(path, "vectors"))
    listing = p.function(path, "vectors")
    if any("%r10" in text for _, text in listing):
        pytest.skip("this compiler uses r10 here")
    assert Rule.RBP in check(path, "vectors")


def test_frame_pointers(tmp_path):
    path = p.build(tmp_path / "pointers", p.FRAMES, "-fno-omit-frame-pointer")
    assert check(path, "framed") == {Rule.RSP, Rule.RBP}


def test_cold_parts_begin_within_a_frame(tmp_path):
    path = p.build(tmp_path / "cold", p.COLD)
    if "split.cold" not in p.symbols(path):
        pytest.skip("this compiler does not part the function")
    check(path, "split", "split.cold")
    start, _ = p.symbols(path)["split.cold"]
    assert rule(table(path).rows, start)[1] > 1


def test_realigned_stacks(tmp_path):
    """DRAP: known from when r10 lies below rbp until it is popped; BAD while it is in r10 only."""
    path = p.build(tmp_path / "realigned", p.ALIGNED)
    rows, expected, met = table(path).rows, (Rule.RSP, 1, 0), []
    for address, text in p.function(path, "realigned"):
        assert rule(rows, address) == expected, f"{address:#x} {text}"
        met.append(expected[0])
        if text.startswith("lea") and text.endswith("(%rsp),%r10"):
            expected = (Rule.BAD, 0, 0)
        elif text == "push %r10":
            expected = (Rule.DRAP, 1, 1)
        elif text == "pop %r10":
            expected = (Rule.BAD, 0, 0)
        elif text.startswith("lea -0x8(%r10),%rsp"):
            expected = rule(rows, address + 4)  # the compiler forgets about rbp: not told
    assert met.count(Rule.DRAP) > 10


def test_plt(tmp_path):
    path = p.build(tmp_path / "plt", p.PLT)
    rows, first = table(path).rows, None
    listing = p.instructions(path, "-j", ".plt")
    for address, text in listing:
        first = first or address
        # Entry 0 is jumped to by the others, which have pushed a number.
        if (address - first) % 16 == 0:
            depth = 16 if address == first else 8
        if not text.startswith("nop"):
            kind, cfa, _ = rule(rows, address)
            found = 8 * cfa if kind == Rule.RSP else 8 + 8 * (address % 16 >= cfa)
            assert kind == (Rule.RSP if address < first + 16 else Rule.PLT)
            assert found == depth, hex(address)
        depth += 8 * text.startswith("push")
    assert len(listing) >= 6


def test_code_without_unwind_information(tmp_path):
    path = p.build(tmp_path / "asm", p.ASM)
    rows, places = table(path).rows, p.symbols(path)
    start, size = places["bare"]
    assert {rule(rows, start + i)[0] for i in range(size)} == {Rule.FP}
    for name in ("before", "after"):
        assert rule(rows, places[name][0]) == (Rule.RSP, 1, 0)


def test_signal_trampoline(tmp_path):
    path = p.build(tmp_path / "signal", p.SIGNAL)
    rows, (start, size) = table(path).rows, p.symbols(path)["restorer"]
    assert {rule(rows, start + i)[0] for i in range(size)} == {Rule.SIGNAL}


def test_root(tmp_path):
    path = p.build(tmp_path / "root", p.ROOT)
    rows, (start, size) = table(path).rows, p.symbols(path)["root"]
    assert {rule(rows, start + i)[0] for i in range(size)} == {Rule.END}


def test_frames_too_deep_for_a_row_are_bad(tmp_path):
    path = p.build(tmp_path / "deep", p.DEEP)
    found, (start, _) = table(path), p.symbols(path)["deep"]
    assert found.bad_rows == 1
    assert [rule(found.rows, start + at)[0] for at in (0, 7)] == [Rule.RSP, Rule.BAD]


@pytest.mark.skipif(libdw_cfi.library() is None, reason="libdw is not installed")
@pytest.mark.parametrize("name", p.programs())
@pytest.mark.parametrize("options", [(), ("-O0",), ("-O2", "-mavx2", "-fno-omit-frame-pointer")])
def test_all_equal_libdw(tmp_path, name, options):
    count, _ = compare(p.build(tmp_path / name, p.programs()[name], *options))
    assert count >= 2
