"""Hostile files: whatever they hold, there is a sound table or an ObjectFormatError, soon."""

import random
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import unwind_frames as f
import unwind_programs as p

from workbench.elf import Elf
from workbench.elf_format import SHF_COMPRESSED
from workbench.errors import ObjectFormatError
from workbench.unwind.eh_frame import table_of
from workbench.unwind.rows import RBP_SHIFT, RULE_SHIFT, Rule, unpack
from workbench.unwind.table import UnwindTable

ROOT = Path(__file__).parents[2]
START = f.BASE + f.CODE
ODD = [0, 1, 4, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1]


NO_REGISTERS = (Rule.END, Rule.SIGNAL, Rule.BAD, Rule.FP)


def sound(table: UnwindTable):
    """Whether a table is one that the BPF side can search."""
    fields = unpack(table.rows)
    return (
        table.rows.dtype == np.uint64
        and bool(np.all(np.diff(fields.offset.astype(np.int64)) > 0))
        and bool(np.all(fields.rule <= max(Rule)))
        and not np.any(table.rows[np.isin(fields.rule, NO_REGISTERS)] >> np.uint64(RBP_SHIFT))
        and not np.any(np.diff(table.rows >> np.uint64(RULE_SHIFT)) == 0)
        and table.bad_rows == np.count_nonzero(fields.rule == Rule.BAD)
    )


def mutated(content, rng, first, last):
    """Change a few places between two positions."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = min(rng.randrange(first, last), len(out) - 1)
        what = rng.randrange(5)
        if what == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            out[at] = rng.randrange(256)
        elif what == 2:
            width = rng.choice((2, 4, 8))
            out[at : at + width] = (rng.choice(ODD) & (1 << 8 * width) - 1).to_bytes(
                width, "little"
            )
        elif what == 3:
            size = rng.randrange(1, 40)
            source = rng.randrange(first, last)
            out[at : at + size] = out[source : source + size]
        else:
            del out[at : at + rng.randrange(1, 12)]
    if not rng.randrange(12):
        del out[rng.randrange(len(out)) :]
    return bytes(out)


def attempt(content):
    """Make the table of a file; return whether there is one."""
    try:
        with Elf(content) as elf:
            table = table_of(elf)
    except ObjectFormatError as error:
        if error.why:
            return False
        raise
    assert sound(table)
    return True


def programs(folder):
    """Real files, plain, with .debug_frame, compressed, and without section headers."""
    whole = p.build(
        folder / "whole", p.ALIGNED + p.COLD.replace("void use(void *), ", "void ") + p.SIGNAL
    )
    no_eh = ["-fno-asynchronous-unwind-tables", "-g"]
    debug = p.build(folder / "debug", p.ALLOCA, *no_eh)
    packed = p.build(folder / "packed", p.ALLOCA, *no_eh, "-Wl,--compress-debug-sections=zlib")
    stripped = bytearray(whole.read_bytes())
    stripped[40:48], stripped[60:64] = bytes(8), bytes(4)
    return [*(path.read_bytes() for path in (whole, debug, packed)), bytes(stripped)]


def interesting(content):
    """Where the unwind information of a file lies, and where its headers do."""
    places = [(0, 64)]
    with Elf(content) as elf:
        frames = [each for each in elf.section_list if "_frame" in each.name]
        places += [(each.offset, each.offset + each.size) for each in frames]
        places += [(64, 64 + 56 * len(elf.segments))]
        places += [(s.offset, s.offset + s.filesz) for s in elf.segments if s.type == 0x6474E550]
    return [place for place in places if place[0] < place[1]]


def test_mutated_files(tmp_path):
    rng = random.Random(3)
    contents = programs(tmp_path)
    places = [[*interesting(content), (0, len(content))] for content in contents]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made, slowest, turns = 0, 0.0, 3000
    for turn in range(turns):
        which = turn % len(contents)
        content = mutated(contents[which], rng, *rng.choice(places[which]))
        started = time.perf_counter()
        made += attempt(content)
        slowest = max(slowest, time.perf_counter() - started)
    assert turns / 10 < made < turns * 0.95
    assert slowest < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_mutated_records():
    """Small sections, so that every byte of every kind of record is hit often."""
    rng = random.Random(33)
    code = b"\x41\x0e\x10\x86\x02\x43\x0d\x06\x0a\x02\x40\x0c\x07\x08\x0b\x0f\x03\x77\x08\x06"
    eh = f.Section().cie(augmentation=b"zPLR", data=b"\x9b\0\0\0\0\x1b\x1b").fde(START, 64, code)
    eh.cie().fde(START + 64, 32, code).cie(wide=True).fde(START + 96, 32, code)
    debug = f.Section(eh=False).cie(augmentation=b"", version=4)
    debug.fde(START + 200, 64, code, "<QQ", relative=False, augmented=False)
    debug.cie(augmentation=b"", wide=True)
    debug.fde(START + 300, 64, code, "<QQ", relative=False, augmented=False)
    made, turns = 0, 3000
    for _ in range(turns):
        frames = mutated(eh.data, rng, 0, len(eh.data))
        debugs = mutated(debug.data, rng, 0, len(debug.data))
        made += attempt(f.elf(frames, named=[f.EH_FRAME, (".debug_frame", 0, debugs)]))
    assert turns / 20 < made < turns * 0.95


def many_overlapping():
    """A million functions that start together and are all the code."""
    section = f.Section().cie()
    body = struct.pack("<IiI", 0, 0, f.CODE_SIZE) + b"\0" + b"\x41\x0e\x10"
    start = len(section.data)
    record = np.frombuffer(f.record(body), np.uint8)
    records = np.tile(record, (1_000_000, 1))
    at = start + len(record) * np.arange(len(records), dtype=np.int64)
    starts = START + at % 4096 - (section.address + at + 8)
    records[:, 4:8] = (at + 4).astype("<u4")[:, None].view(np.uint8)
    records[:, 8:12] = starts.astype("<i4")[:, None].view(np.uint8)
    return f.elf(section.data + records.tobytes(), named=[f.EH_FRAME])


def one_long_program():
    """A row for each three bytes of 63 MB of instructions."""
    return f.elf(f.simple((START, f.CODE_SIZE, b"\x41\x0e\x10\x41\x0e\x18" * 10_500_000)),
                 named=[f.EH_FRAME])  # fmt: skip


def different_programs(count):
    """Programs of a megabyte, none like another, and a row for each three bytes."""
    code = b"\x41\x0e\x10\x41\x0e\x18" * 170_000
    functions = [(START + i, 1, code + bytes([i])) for i in range(count)]
    return f.elf(f.simple(*functions), named=[f.EH_FRAME])


def different_programs_in_the_limit():
    return different_programs(16)


def different_programs_beyond_it():
    return different_programs(60)


def rows_times_functions(count=300):
    """A program of 100,000 rows in each of many functions, of which only the first rows hold."""
    code = b"\x41\x0e\x10\x41\x0e\x18" * 33_000
    return f.elf(
        f.simple(*((START + 8 * i, 1 << 30, code) for i in range(count))), named=[f.EH_FRAME]
    )


def remembered():
    """Nothing but DW_CFA_remember_state."""
    return f.elf(f.simple((START, 16, b"\x0a" * 1_000_000)), named=[f.EH_FRAME])


def expressions():
    """A long expression, again and again."""
    block = b"\x0f\xff\x7f" + bytes(16383)
    return f.elf(f.simple((START, 4096, (block + b"\x41") * 60)), named=[f.EH_FRAME])


def cies():
    """A million CIEs, no FDE."""
    return f.elf(f.cie() * 1_000_000, named=[f.EH_FRAME])


def terminators():
    """Sixty megabytes of zeros."""
    return f.elf(bytes(60_000_000), named=[f.EH_FRAME])


def bomb():
    """A kilobyte that claims to be, and is, 64 MB."""
    size = 1 << 26
    content = struct.pack("<IIQQ", 1, 0, size, 1) + zlib.compress(bytes(size), 9)
    return f.elf(named=[(".debug_frame", SHF_COMPRESSED, content)])


HOSTILE = [many_overlapping, one_long_program, different_programs_in_the_limit,
           different_programs_beyond_it, rows_times_functions, remembered,
           expressions, cies, terminators, bomb]  # fmt: skip
LIMITS_S, LIMITS_MB = 60, 1000  # under coverage a program takes three times as long


@pytest.mark.timeout(600)  # what is limited is time of the CPU, which may be shared by many
@pytest.mark.parametrize("make", HOSTILE)
def test_large_and_made_to_hurt(make):
    """In a process of its own, whose memory and time are limited."""
    code = (
        "import sys, time; sys.path[:0] = ['tests', 'tests/unwind']\n"
        f"import test_fuzz; content = test_fuzz.{make.__name__}()\n"
        "started = time.process_time(); made = test_fuzz.attempt(content)\n"
        "print(made, time.process_time() - started)\n"
        # Not ru_maxrss: it begins with what the process that forked this one had.
        "peak = next(row for row in open('/proc/self/status') if row.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024, len(content) >> 20)"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    _, seconds, memory, _ = run.stdout.split()
    assert float(seconds) < LIMITS_S
    assert int(memory) < LIMITS_MB
