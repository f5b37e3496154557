import numpy as np
import pytest

from workbench.elf_format import (
    HEADER,
    MAX_NAME,
    ORDER_32,
    SECTION,
    SEGMENT,
    SHF_COMPRESSED,
    SHF_EXECINSTR,
    SYMBOL,
    SYMBOL_LAYOUT,
    Section,
    Symbols,
    string_at,
)
from workbench.errors import ObjectFormatError


@pytest.mark.parametrize(
    ("fields", "size_32", "size_64"),
    # Sizes of Elf32_ and Elf64_ Ehdr (without e_ident), Shdr, Phdr and Sym: gABI, chapters 4, 5.
    [(HEADER, 36, 48), (SECTION, 40, 64), (SEGMENT, 32, 56), (SYMBOL_LAYOUT, 16, 24)],
)
def test_sizes_are_those_of_the_standard(fields, size_32, size_64):
    assert sum(narrow for narrow, _ in fields.values()) == size_32
    assert sum(wide for _, wide in fields.values()) == size_64


def test_32_bit_orders_hold_the_same_fields():
    assert set(ORDER_32["segment"]) == set(SEGMENT)
    assert set(ORDER_32["symbol"]) == set(SYMBOL_LAYOUT)


def test_section_flags():
    section = Section(1, ".text", 1, SHF_EXECINSTR, 0, 0, 0, 0, 0, 0)
    assert section.executable
    assert not section.compressed
    assert Section(1, ".debug", 1, SHF_COMPRESSED, 0, 0, 0, 0, 0, 0).compressed


def test_symbols_and_their_names():
    table = np.zeros(3, SYMBOL)
    table["name"] = [0, 1, 99]
    symbols = Symbols(table, b"\0main\0")
    assert symbols.names() == ["", "main", ""]
    assert symbols.name(1) == "main"
    assert len(symbols) == 3
    assert len(Symbols()) == 0


def test_strings_end_somewhere():
    assert string_at(b"abc", 1) == "bc"
    assert string_at(b"a" * 2 * MAX_NAME, 0) == "a" * MAX_NAME
    assert string_at(b"abcdef\0", 0, 3) == "abc"
    assert string_at(b"\xff\0", 0) == "�"
    assert string_at(b"", 5) == ""


def test_names_are_bounded_together(monkeypatch):
    monkeypatch.setattr("workbench.elf_format.MAX_SECTION_BYTES", 5)
    table = np.zeros(3, SYMBOL)
    table["name"] = 1
    with pytest.raises(ObjectFormatError, match="too long together"):
        Symbols(table, b"\0ab\0").names()
