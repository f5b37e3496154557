"""Types of C, as far as a probe has to know them to read a value: wherever they are described.

BTF (:mod:`workbench.probe.kernel_types`), DWARF (:mod:`workbench.probing.dwarf_types`) and the
formats of tracepoints all become :class:`CType`. Members and targets are looked up when they are
asked for, as the types of a kernel or a program lead to one another without end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

INT, POINTER, STRUCT, ARRAY, FLOAT, VOID = "int", "pointer", "struct", "array", "float", "void"


@dataclass(frozen=True)
class CType:
    """A type; which attributes mean something depends on ``kind``.

    Parameters
    ----------
    kind : str
        ``int`` (with enums and booleans), ``pointer``, ``struct`` (with unions), ``array``,
        ``float`` or ``void`` (and functions).
    name : str
        As people write it.
    size : int
        In bytes.
    signed : bool
    char : bool
        Of ``int``: a character, so that arrays of it and pointers to it are texts.
    count : int
        Of ``array``: its elements.
    target : callable, optional
        The type that a pointer leads to, or of an array's elements.
    members : callable, optional
        Of ``struct``: the members by name, those of anonymous ones among them.
    """

    kind: str
    name: str
    size: int
    signed: bool = False
    char: bool = False
    count: int = 0
    target: Callable[[], CType] | None = field(default=None, compare=False, repr=False)
    members: Callable[[], Mapping[str, Member]] | None = field(
        default=None, compare=False, repr=False
    )


@dataclass(frozen=True)
class Member:
    """A member of a struct: where it lies, and for bit fields how wide it is (else 0)."""

    type: Callable[[], CType]
    bit_offset: int
    bits: int = 0


@dataclass(frozen=True)
class Function:
    """The parameters of a function, by name, and what it returns."""

    parameters: tuple[tuple[str, CType], ...]
    returns: CType


CHAR = CType(INT, "char", 1, signed=True, char=True)
WORD = CType(INT, "unsigned long", 8)
"""A register or a word on the stack, of which nothing is known."""
SIGNED_WORD = CType(INT, "long", 8, signed=True)
NOTHING = CType(VOID, "void", 0)
NUMBERS = {
    **{f"u{8 * n}": CType(INT, f"u{8 * n}", n) for n in (1, 2, 4, 8)},
    **{f"i{8 * n}": CType(INT, f"i{8 * n}", n, signed=True) for n in (1, 2, 4, 8)},
}
"""Types that a cast can name: ``u8`` to ``u64`` and ``i8`` to ``i64``."""


def pointer_to(target: CType | None, name: str = "") -> CType:
    """Return the type of a pointer; to None it leads to nothing known."""
    return CType(
        POINTER,
        name or f"{target.name if target else 'void'} *",
        8,
        target=(lambda: target) if target is not None else None,
    )
