"""Parameters of a program's functions and their types, from its DWARF debug information.

DWARF 5, sections 3.3 (subroutines), 4.1 (parameters) and 5 (types). Read by pyelftools, and only
the compilation unit of the function. What cannot be read counts as not known: arguments have their
numbers still.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.ctype import (
    ARRAY,
    FLOAT,
    INT,
    NOTHING,
    POINTER,
    STRUCT,
    CType,
    Function,
    Member,
)
from workbench.elf import Elf
from workbench.symbols.debug_files import DebugFiles, has_lines

_FLOATS = (3, 4, 15)  # DW_ATE_complex_float, DW_ATE_float, DW_ATE_decimal_float
_SIGNED = (5, 6)  # DW_ATE_signed, DW_ATE_signed_char
_POINTERS = ("pointer_type", "reference_type", "rvalue_reference_type", "ptr_to_member_type")
_MODIFIERS = ("const_type", "volatile_type", "restrict_type", "atomic_type", "typedef")
_STRUCTS = ("structure_type", "class_type", "union_type")
MAX_CHAIN = 64
KEPT = 2
"""Files whose debug information is kept until :func:`forget`."""
_PLUS_CONSTANT = 0x23  # DW_OP_plus_uconst


def function(path: str, address: int) -> Function | None:
    """Return the parameters of the function that begins at an address of a file.

    Parameters
    ----------
    address : int
        In the file's own virtual address space.

    Returns
    -------
    Function or None
        None where there is no debug information, or none of that function.
    """
    with suppress(Exception):  # nobody vouches for these files
        about = Path(path).stat()
        stamp = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        dwarf, ranges = _read(path, stamp)
        return _function(dwarf, ranges, address)
    return None


def forget() -> None:
    """Let go of the files that were read last: they were kept for further functions of theirs.

    Unpacking those of the C library takes half a second, and 100 MB.
    """
    _read.cache_clear()


@lru_cache(maxsize=KEPT)
def _read(path: str, stamp: tuple[int, ...]) -> tuple[Any, Any]:  # noqa: ARG001 - part of the key
    """Return a file's debug information, and which unit has which addresses."""
    with _debug_info(path) as dwarf:
        return dwarf, dwarf.get_aranges() if dwarf is not None else None


@contextmanager
def _debug_info(path: str) -> Iterator[Any]:
    from elftools.elf.elffile import ELFFile

    with Elf.open(path) as own:
        separate = None if has_lines(own) else _separate(own, path)
        held = separate or own
        try:
            descriptor = held.duplicate()
            with io.BufferedReader(io.FileIO(descriptor)) as stream:
                file = ELFFile(stream)
                yield file.get_dwarf_info(follow_links=True) if file.has_dwarf_info() else None
        finally:
            if separate is not None:
                separate.close()


def _separate(elf: Elf, path: str) -> Elf | None:
    return DebugFiles().find(elf, os.fspath(Path(path).resolve()), wanted=has_lines)


def _function(dwarf: Any, ranges: Any, address: int) -> Function | None:
    for unit in _units(dwarf, ranges, address):
        for die in unit.iter_DIEs():
            if die.tag == "DW_TAG_subprogram" and _number(die, "DW_AT_low_pc") == address:
                return _prototype(die)
    return None


def _units(dwarf: Any, ranges: Any, address: int) -> Iterator[Any]:
    """Give the compilation unit of an address, or those that may be it."""
    if dwarf is None:
        return
    offset = ranges.cu_offset_at_addr(address) if ranges is not None else None
    if offset is not None:
        yield dwarf.get_CU_at(offset)
        return
    for unit in dwarf.iter_CUs():
        top = unit.get_top_DIE()
        low, high = _number(top, "DW_AT_low_pc"), _number(top, "DW_AT_high_pc")
        if (
            "DW_AT_ranges" in top.attributes
            or high is None
            or low is None
            or low <= address < (high if high > low else low + high)
        ):
            yield unit


def _prototype(die: Any) -> Function:
    origin = _followed(die)
    parameters: list[tuple[str, CType]] = []
    for child in die.iter_children():
        if child.tag == "DW_TAG_formal_parameter":
            parameters.append(_parameter(child, len(parameters)))
    return Function(tuple(parameters), _type_of(origin))


def _parameter(die: Any, number: int) -> tuple[str, CType]:
    origin = _followed(die)
    return _name(origin) or f"arg{number}", _type_of(origin)


def _followed(die: Any) -> Any:
    """Return what describes this in the abstract, if that is somewhere else."""
    for _ in range(MAX_CHAIN):
        link = next(
            (a for a in ("DW_AT_abstract_origin", "DW_AT_specification") if a in die.attributes), ""
        )
        if not link or "DW_AT_type" in die.attributes:
            break
        die = die.get_DIE_from_attribute(link)
    return die


def _name(die: Any) -> str:
    found = die.attributes.get("DW_AT_name")
    return found.value.decode("utf-8", "replace") if found is not None else ""


def _number(die: Any, name: str) -> int | None:
    found = die.attributes.get(name)
    return found.value if found is not None and isinstance(found.value, int) else None


def _type_of(die: Any) -> CType:
    if "DW_AT_type" not in die.attributes:
        return NOTHING
    return _type(die.get_DIE_from_attribute("DW_AT_type"))


def _type(die: Any) -> CType:
    alias = ""
    for _ in range(MAX_CHAIN):
        tag = die.tag.removeprefix("DW_TAG_")
        if tag not in _MODIFIERS:
            return _plain(die, tag, alias)
        alias = alias or (_name(die) if tag == "typedef" else "")
        if "DW_AT_type" not in die.attributes:
            return NOTHING  # const void
        die = die.get_DIE_from_attribute("DW_AT_type")
    return NOTHING


def _plain(die: Any, tag: str, alias: str) -> CType:  # noqa: PLR0911 - one way out per tag
    name, size = alias or _name(die), _number(die, "DW_AT_byte_size") or 0
    if tag == "base_type":
        encoding = _number(die, "DW_AT_encoding") or 0
        if encoding in _FLOATS:
            return CType(FLOAT, name, size)
        return CType(
            INT, name, size, encoding in _SIGNED, char=_name(die) in ("char", "signed char")
        )
    if tag == "enumeration_type":
        under = _type_of(die)
        return CType(INT, name or "enum", size, signed=under.signed if under.size else False)
    if tag in _POINTERS:
        if "DW_AT_type" not in die.attributes:
            return CType(POINTER, name or "void *", size or 8)
        target = _type_of(die)
        shown = name or f"{target.name} {'*' if tag == 'pointer_type' else '&'}"
        return CType(POINTER, shown, size or 8, target=lambda: target)
    if tag in _STRUCTS:
        shown = name or tag.removesuffix("_type")
        return CType(STRUCT, shown, size, members=lambda: _members(die))
    if tag == "array_type":
        return _array(die)
    return NOTHING


def _array(die: Any) -> CType:
    inner = _type_of(die)
    counts = []
    for child in die.iter_children():
        if child.tag == "DW_TAG_subrange_type":
            count, top = _number(child, "DW_AT_count"), _number(child, "DW_AT_upper_bound")
            counts.append(count if count is not None else top + 1 if top is not None else 0)
    for count in reversed(counts or [0]):
        inner = _array_of(inner, count)
    return inner


def _array_of(inner: CType, count: int) -> CType:
    name = f"{inner.name}[{count or ''}]"
    return CType(ARRAY, name, inner.size * count, count=count, target=lambda: inner)


def _members(die: Any, shift: int = 0) -> Mapping[str, Member]:
    """Return the members by name; those of bases and anonymous members among them."""
    found: dict[str, Member] = {}
    for child in die.iter_children():
        if child.tag not in ("DW_TAG_member", "DW_TAG_inheritance"):
            continue
        if "DW_AT_external" in child.attributes or "DW_AT_declaration" in child.attributes:
            continue  # static
        place = _place(child)
        if place is None or "DW_AT_type" not in child.attributes:
            continue
        bit_offset, bits = place
        name = _name(child) if child.tag == "DW_TAG_member" else ""
        if name:
            found[name] = Member(_later(child), shift + bit_offset, bits)
        else:
            base = _struct(child)
            if base is not None:
                found = {**_members(base, shift + bit_offset), **found}
    return found


def _later(die: Any) -> Callable[[], CType]:
    return lambda: _type_of(die)


def _struct(die: Any) -> Any:
    for _ in range(MAX_CHAIN):
        if "DW_AT_type" not in die.attributes:
            return None
        die = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag.removeprefix("DW_TAG_") in _STRUCTS:
            return die
    return None


def _place(die: Any) -> tuple[int, int] | None:
    """Return bit offset and, of a bit field, width; None where it is computed at run time."""
    bits = _number(die, "DW_AT_bit_size") or 0
    at = die.attributes.get("DW_AT_data_member_location")
    offset = at.value if at is not None else 0
    if isinstance(offset, list):  # an expression of DWARF 2
        if len(offset) < 2 or offset[0] != _PLUS_CONSTANT:
            return None
        offset = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(offset[1:]))
    within = _number(die, "DW_AT_data_bit_offset")
    if within is not None:
        return 8 * offset + within, bits
    from_top = _number(die, "DW_AT_bit_offset")  # DWARF 3: from the top of the storage unit
    if bits and from_top is not None:
        size = _number(die, "DW_AT_byte_size") or _type_of(die).size
        return 8 * (offset + size) - from_top - bits, bits
    return 8 * offset, bits
