"""A file's unwind table, compared with what libdw says of every stretch of its code."""

import re
import subprocess
from bisect import bisect_right

import libdw_cfi

from workbench.elf import Elf
from workbench.elf_format import PF_X
from workbench.unwind.debug_frame import debug_frame
from workbench.unwind.eh_frame import eh_frame, make_table
from workbench.unwind.rows import RBX_LOST, Rule, unpack

RULES = {7: Rule.RSP, 6: Rule.RBP, 3: Rule.RBX}
BREG, BREG_RBP, BREGX, DEREF, CALL_FRAME_CFA, PLUS_UCONST = 0x77, 0x76, 0x92, 0x06, 0x9C, 0x23


def from_cfa(place):
    """Bytes of a plain place from the CFA."""
    return place[1][1] if len(place) == 2 and place[1][0] == PLUS_UCONST else None


def from_rbp(place):
    """Bytes from rbp of a place that is told by it."""
    return place[1][1] if len(place) == 2 and place[1][0] == BREG_RBP else None


def slot(place, bytes_of):
    """What a row says of the caller's rbx.

    Of functions that say nothing of it, libdw 0.188 thinks that they destroy it: its list of what
    calls preserve (backends/x86_64_cfi.c) has rax, number 0, where it means rbx.
    """
    if not place:
        return 0
    at = bytes_of(place) if place[0] == (CALL_FRAME_CFA, 0, 0) else None
    return -at // 8 if at in range(-120, -8, 8) else RBX_LOST


def expected(found):
    """The row that libdw's answer means; None: that no rule can say it."""
    if found is None:
        return Rule.FP, 0, 0, 0
    _, _, cfa, rbp, returns, rbx = found
    if returns == ():
        return Rule.END, 0, 0, 0
    if cfa[0] == (BREG, 160, 0) and cfa[1:] == ((DEREF, 0, 0),):
        return Rule.SIGNAL, 0, 0, 0
    if returns != ((CALL_FRAME_CFA, 0, 0), (PLUS_UCONST, -8, 0)) or rbp == ():
        return None
    if rbp is None:
        below = 0
    else:
        plain = rbp[0][0] == CALL_FRAME_CFA and rbp[1][0] == PLUS_UCONST
        below = -rbp[1][1] // 8 if plain else None
    fits = below is not None and cfa[0][2] < 8 << 16
    if cfa[0][0] == BREGX and len(cfa) == 1 and cfa[0][1] in RULES and fits:
        return RULES[cfa[0][1]], cfa[0][2] // 8, below, slot(rbx, from_cfa)
    if len(cfa) == 9 and cfa[0] == (BREG, 8, 0):
        return Rule.PLT, cfa[4][0] - 0x30, 0, slot(rbx, from_cfa)
    at_rbp = ((CALL_FRAME_CFA, 0, 0), (BREG_RBP, 0, 0))
    if cfa[0][0] == BREG_RBP and cfa[1:] == ((DEREF, 0, 0),) and rbp == at_rbp and cfa[0][1] < 0:
        return Rule.DRAP, -cfa[0][1] // 8, 1, slot(rbx, from_rbp)
    return None


def borders(path):
    """Addresses where the FDEs of a file start and end, as readelf finds them."""
    dump = ["readelf", "-W", "--debug-dump=frames", str(path)]
    text = subprocess.run(dump, check=False, capture_output=True, text=True).stdout
    ranges = re.findall(r"FDE .* pc=([0-9a-f]+)\.\.([0-9a-f]+)", text)
    return {int(each, 16) for pair in ranges for each in pair}


def compare(path, *, debug=False):
    """Compare a file's table with libdw's; return rows of libdw, and how many no rule can say."""
    with Elf.open(path) as elf:
        sections = [section for section in (eh_frame(elf), debug_frame(elf)) if section]
        fields = unpack(make_table(elf, sections).rows)
        loads = [load for load in elf.loads if load.flags & PF_X]
    offsets = fields.offset.tolist()
    columns = (fields.rule, fields.cfa, fields.rbp, fields.rbx)
    rules = list(zip(*(x.tolist() for x in columns), strict=True))
    frames, found_borders = libdw_cfi.Frames(path, debug=debug), borders(path)
    count = bad = 0
    for load in loads:
        shift, end = load.offset - load.vaddr, load.vaddr + load.filesz
        places = found_borders | {load.vaddr} | {offset - shift for offset in offsets}
        starts = sorted(place for place in places if load.vaddr <= place < end)
        for start, stop, found in libdw_cfi.walk(frames, starts, end):
            want = expected(found) or (Rule.BAD, 0, 0, 0)
            for place in (start, stop - 1):
                at = bisect_right(offsets, place + shift) - 1
                ours = rules[at] if at >= 0 else (Rule.FP, 0, 0, 0)
                assert ours == want, f"{place:#x}: {ours}, libdw: {found}"
            count += 1
            bad += want[0] == Rule.BAD
    return count, bad
