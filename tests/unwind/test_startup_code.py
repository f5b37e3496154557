"""Rows of start-up code equal what its instructions do to the stack, as objdump shows them."""

import shutil
import subprocess

import numpy as np
import pytest
import unwind_frames as f
import unwind_programs as p
from programs import compiled, lines_of

from workbench.elf import Elf
from workbench.unwind.eh_frame import table_of
from workbench.unwind.rows import Rule, row_at, unpack
from workbench.unwind.startup_code import GAPS, Piece, rows_of_code
from workbench.unwind.table_cache import TableCache

START = f.BASE + f.CODE
FUNCTIONS = (
    "deregister_tm_clones", "register_tm_clones", "__do_global_dtors_aux", "frame_dummy",
    "_init", "_fini",
)  # fmt: skip
INIT = "f30f1efa 4883ec08 488b05d92f0000 4885c0 7402 ffd0 4883c408 c3"
FINI = "4883ec08 4883c408 c3"
DTORS = "803d11223344 00 7513 55 4889e5 e811223344 c6051122334401 5d c3 90 c3"
SOURCE = "int f(int x) { return x + 1; } int main(void) { return f(1); }"


def fields_at(rows, offset):
    row = unpack(np.array([row_at(rows, offset)], np.uint64))
    return Rule(row.rule[0]), int(row.cfa[0]), int(row.rbp[0])


def followed(listing, starts):
    """Yield each address with the words from rsp to the CFA, and where rbp was saved below it."""
    depth = rbp = 0
    for address, text in listing:
        if address in starts:
            depth, rbp = 1, 0
        yield address, text, depth, rbp
        if text.startswith("push"):
            depth, rbp = depth + 1, 2 if "rbp" in text else 0
        elif text.startswith(("pop", "add $0x8,%rsp")):
            depth, rbp = depth - 1, 0
        elif text.startswith("sub $0x8,%rsp"):
            depth += 1


@pytest.mark.parametrize("options", [("-shared", "-fPIC"), ("-fPIE", "-pie"), ("-no-pie",)])
@pytest.mark.parametrize("protection", ["full", "none"])
def test_every_instruction_of_what_compilers_add(tmp_path, options, protection):
    path = compiled(
        tmp_path, "program", SOURCE, "gcc", "-O2", *options, f"-fcf-protection={protection}"
    )
    with Elf.open(path) as elf:
        rows = table_of(elf).rows
        (code,) = (load for load in elf.loads if load.flags & 1)
    symbols = [line.split() for line in lines_of("nm", path)]
    starts = {int(words[0], 16) for words in symbols if words[-1] in FUNCTIONS}
    ends = sorted({int(words[0], 16) for words in symbols if len(words) == 3})
    checked = set()
    for start in starts:
        end = next((each for each in ends if each > start), start + 64)
        piece = (f"--start-address={start}", f"--stop-address={end}")
        listing = p.instructions(path, "-j", ".text", "-j", ".init", "-j", ".fini", *piece)
        for address, text, depth, rbp in followed(listing, starts):
            found = fields_at(rows, address - code.vaddr + code.offset)
            assert found == (Rule.RSP, depth, rbp), f"{address:#x} {text}"
            checked.add(text.split()[0])
    assert len(starts) == len(FUNCTIONS)
    assert {"sub", "add", "push", "pop", "ret", "call", "jmp", "test", "je"} <= checked


def test_code_that_is_known():
    code = bytes.fromhex(INIT)
    rows = np.array(rows_of_code(Piece(0x1000, code)), np.uint64)
    assert [(offset - 0x1000, *fields_at(rows, offset)) for offset in unpack(rows).offset] == [
        (0, Rule.RSP, 1, 0),
        (8, Rule.RSP, 2, 0),
        (len(code) - 1, Rule.RSP, 1, 0),
        (len(code), Rule.FP, 0, 0),
    ]
    rows = np.array(rows_of_code(Piece(0, bytes.fromhex(DTORS))), np.uint64)
    assert [(at, *fields_at(rows, at)) for at in unpack(rows).offset.tolist()] == [
        (0, Rule.RSP, 1, 0),
        (10, Rule.RSP, 2, 2),
        (26, Rule.RSP, 1, 0),
        (29, Rule.FP, 0, 0),
    ]


@pytest.mark.parametrize(
    "code",
    [
        "",
        "4883ec08 4883c408",  # no return
        "4883ec08 c3",  # with a word on the stack
        "4883c408 c3",
        "c3 5d c3",
        "50 50 58 58 c3",  # deeper than such code is
        "4883ec10 4883c410 c3",  # sub $16,%rsp
        "50 7401 58 c3",  # a jump over the pop
        "55 7402 5d c3 5d c3",  # to where the row would be wrong
        "7405 c3",  # out of the piece
        "74fd c3",  # to where no instruction begins
        "50 58 4889c4 c3",  # mov %rax,%rsp
        "c3 48",
        "e8112233",
    ],
)
def test_code_that_is_not_known_has_no_rows(code):
    assert rows_of_code(Piece(0x1000, bytes.fromhex(code))) == []


def table(*functions, text=b"", at=0, named=()):
    """Rows of a file with functions that have FDEs, and with code."""
    image = bytearray(f.elf(f.simple(*functions), named=[f.EH_FRAME, *named]))
    image[f.CODE + at : f.CODE + at + len(text)] = text
    with Elf(bytes(image)) as elf:
        found = unpack(table_of(elf).rows)
    columns = (found.offset.astype(int) - f.CODE, found.rule, found.cfa, found.rbp)
    return list(zip(*(column.tolist() for column in columns), strict=True))


BETWEEN = bytes.fromhex(DTORS) + b"\x90" * 67
ADDED = [(0, Rule.RSP, 1, 0), (10, Rule.RSP, 2, 2), (26, Rule.RSP, 1, 0)]


@pytest.mark.parametrize("at", [0, 64])
def test_in_a_gap_between_functions(at):
    functions = [(START + at + 96, 16, b"\x41\x0e\x10")]
    if at:
        functions.insert(0, (START, at, b"\x41\x0e\x18"))
    plain, found = table(*functions), table(*functions, text=BETWEEN, at=at)
    behind = (at + 96, Rule.RSP, 1, 0)  # the same row holds on
    fp = [(at, Rule.FP, 0, 0)] if at else []
    assert plain == [*plain[: 2 * bool(at)], *fp, behind, *plain[-2:]]
    assert found == [*plain[: 2 * bool(at)], *((at + o, *r) for o, *r in ADDED), *plain[-2:]]


def test_zeros_before_it_are_none_of_it():
    found = table((START, 16, b"\x41\x0e\x18"), (START + 120, 8, b""), text=BETWEEN, at=24)
    assert found[2] == (16, Rule.FP, 0, 0)
    assert found[3:6] == [(24 + o, *rest) for o, *rest in ADDED]


def test_up_to_the_end_of_a_section():
    """Zeros between .text, whose last functions these are, and .fini."""
    code = bytes.fromhex(DTORS) + b"\x66\x0f\x1f\x44\0\0"
    whole = rows_of_code(Piece(0x1000, code))
    assert len(whole) == 4
    assert rows_of_code(Piece(0x1000, code + bytes(3)))[:-1] == whole[:-1]
    assert rows_of_code(Piece(0x1000, bytes(2) + code)) == []


@pytest.mark.parametrize("size", [GAPS.start - 1, GAPS.stop])
def test_gaps_of_other_sizes_are_left_alone(size):
    text = bytes.fromhex(DTORS).ljust(size, b"\x90")
    functions = ((START, 8, b""), (START + 8 + size, 8, b"\x41\x0e\x18"))
    assert table(*functions, text=text, at=8) == table(*functions)


def test_unwind_information_has_precedence():
    """A section .init that a function with an FDE lies in; and one that is none of this file."""
    whole = ((START, 64, b"\x41\x0e\x18"),)
    image = f.elf(f.simple(*whole), named=[f.EH_FRAME, (".init", 6, bytes.fromhex(INIT))])
    with Elf(image) as elf:
        assert elf.sections[".init"].size == len(bytes.fromhex(INIT))  # in no executable segment
        assert len(table_of(elf).rows) == 3


def test_a_file_with_no_unwind_information_and_one_from_the_cache(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    path, bare = tmp_path / "program.so", tmp_path / "bare.so"
    source = "".join(f"int f{i}(int x) {{ return g(x) + {i}; }}\n" for i in range(1500))
    command = ["gcc", "-shared", "-fPIC", "-O1", "-w", "-Wl,--build-id=sha1", "-x", "c", "-", "-o"]
    subprocess.run([*command, path], input=f"int g(int);{source}", text=True, check=True)
    cache = TableCache(tmp_path / "cache")
    tables = []
    for _ in range(2):
        with Elf.open(path) as elf:
            tables.append(cache.load(elf, elf.build_id))
            section = elf.sections[".init"]
    assert tables[0].rows.tolist() == tables[1].rows.tolist()
    assert fields_at(tables[1].rows, section.offset + section.size - 1) == (Rule.RSP, 1, 0)
    subprocess.run(["objcopy", "-R", ".eh_frame", "-R", ".eh_frame_hdr", path, bare], check=True)
    with Elf.open(bare) as elf:
        section = elf.sections[".fini"]
        found = table_of(elf)
    assert found.source == "none"
    assert fields_at(found.rows, section.offset + section.size - 1) == (Rule.RSP, 1, 0)
    assert fields_at(found.rows, section.offset + section.size)[0] == Rule.FP
