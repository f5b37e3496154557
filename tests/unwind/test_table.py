"""Functions placed in a file, overlaps, gaps and limits."""

import pytest
import unwind_frames as f

from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.unwind import table as t
from workbench.unwind.eh_frame import table_of
from workbench.unwind.rows import Rule, unpack

START = f.BASE + f.CODE
CALL, PUSHED, FP = (Rule.RSP, 1, 0), (Rule.RSP, 2, 2), (Rule.FP, 0, 0)
PUSH = b"\x41\x0e\x10\x86\x02"  # push %rbp
BAD = (Rule.BAD, 0, 0)


def rows_of(*functions, **named):
    """Rows as (offset from the start of the code, rule, cfa, rbp)."""
    image = f.elf(f.simple(*functions), named=[f.EH_FRAME], **named)
    with Elf(image) as elf:
        table = table_of(elf)
    fields = unpack(table.rows)
    columns = (
        fields.offset.astype(int) - named.get("code_offset", f.CODE),
        fields.rule,
        fields.cfa,
        fields.rbp,
    )
    return list(zip(*(column.tolist() for column in columns), strict=True)), table


def test_code_without_a_function_has_frame_pointers():
    rows, table = rows_of((START, 16, PUSH), (START + 32, 16, PUSH))
    once = [(0, *CALL), (1, *PUSHED), (16, *FP)]
    assert rows == [*once, *((32 + at, *rest) for at, *rest in once)]
    assert (table.bad_rows, table.source, table.status) == (0, "eh_frame", "ok")


def test_functions_side_by_side_in_any_order():
    rows, _ = rows_of((START + 16, 16, b""), (START, 16, PUSH))
    assert rows == [(0, *CALL), (1, *PUSHED), (16, *CALL), (32, *FP)]


def test_equal_neighbours_are_one_row():
    rows, _ = rows_of((START, 16, b""), (START + 16, 16, b""), (START + 32, 16, b""))
    assert rows == [(0, *CALL), (48, *FP)]


@pytest.mark.parametrize("turned", [False, True])
def test_of_overlapping_functions_that_starts_last_holds(turned):
    """As in a search by start, which .eh_frame_hdr is made for."""
    functions = [(START, 48, b"\x0e\x20"), (START + 16, 16, PUSH)]
    rows, _ = rows_of(*(functions[::-1] if turned else functions))
    assert rows == [(0, Rule.RSP, 4, 0), (16, *CALL), (17, *PUSHED), (32, *FP)]


def test_of_functions_that_start_together_the_first_holds():
    rows, _ = rows_of((START, 16, PUSH), (START, 48, b"\x0e\x20"))
    assert rows == [(0, *CALL), (1, *PUSHED), (16, *FP)]


def test_rows_end_with_their_function():
    rows, _ = rows_of((START, 4, b"\x41\x0e\x10\x42\x0e\x18\x44\x0e\x20"))
    assert rows == [(0, *CALL), (1, Rule.RSP, 2, 0), (3, Rule.RSP, 3, 0), (4, *FP)]


def test_only_what_the_file_holds():
    """Functions beyond segments, in data, or longer than their segment."""
    rows, _ = rows_of(
        (START - 16, 8, b""), (f.BASE + f.FRAMES, 16, b""), (START + f.CODE_SIZE - 8, 100, PUSH)
    )
    at = f.CODE_SIZE - 8
    assert rows == [(at, *CALL), (at + 1, *PUSHED), (at + 8, *FP)]


def test_instructions_that_make_no_sense_are_bad_and_counted():
    rows, table = rows_of((START, 16, PUSH + b"\x42\x3f"), (START + 16, 16, b"\x3f"))
    assert rows == [(0, *CALL), (1, *PUSHED), (3, *BAD), (32, *FP)]
    assert table.bad_rows == 1


def test_code_beyond_4_gib_of_file_says_so():
    rows, table = rows_of((START, 16, PUSH), code_offset=1 << 32)
    assert (rows, table.status) == ([], "beyond_4_gib")
    rows, table = rows_of((START, 8, PUSH), (START + 24, 16, PUSH), code_offset=(1 << 32) - 16)
    assert [at for at, *_ in rows] == [0, 1, 8]
    assert table.status == "beyond_4_gib"
    assert rows_of((START, 16, PUSH), code_offset=(1 << 32) - 32)[1].status == "ok"


def test_addresses_of_segments_that_no_file_can_have():
    image = bytearray(f.elf(f.simple((START, 16, PUSH)), named=[f.EH_FRAME]))
    for place in (64 + 8, 64 + 16, 64 + 32):  # offset, address, size of the first segment
        for value in (0, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 4096):
            hurt = bytearray(image)
            hurt[place : place + 8] = value.to_bytes(8, "little")
            with Elf(bytes(hurt)) as elf:
                assert len(table_of(elf).rows) <= 3


def test_too_many_rows(monkeypatch):
    functions = [(START + 16 * i, 16, PUSH) for i in range(10)]
    assert len(rows_of(*functions)[0]) == 21
    monkeypatch.setattr(t, "MAX_ROWS", 29)
    with pytest.raises(ObjectFormatError, match="more than 29 rows"):
        rows_of(*functions)


def test_too_many_instructions(monkeypatch):
    monkeypatch.setattr(t, "MAX_INSTRUCTION_BYTES", 4)
    with pytest.raises(ObjectFormatError, match="bytes of instructions"):
        rows_of((START, 16, PUSH))
