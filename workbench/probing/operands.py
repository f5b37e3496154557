"""A value that a probe can read: where the walk to it begins, and where it leads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches

from workbench.ctype import ARRAY, CHAR, FLOAT, INT, POINTER, STRUCT, VOID, CType, pointer_to
from workbench.errors import ParameterError

KERNEL, USER, EITHER = "kernel", "user", "either"
"""Whose memory a step reads: ``enum probe_memory``."""
NUMBER, TEXT, TEXT_AT = "number", "text", "text_at"  # enum probe_read
MAX_STEPS = 8


@dataclass(frozen=True)
class Operand:
    """A value.

    Parameters
    ----------
    source : str
        Of ``enum probe_source``: ``context``, ``task``, ``pid``, ...
    type : CType
    text : str
        As the user wrote it.
    chain : tuple of int
        Offsets: at all but the last one lies a pointer to follow; at the last one the value.
    memory : tuple of str
        Whose memory each of them is in.
    leads : str
        Whose memory pointers lead into from here.
    stage : str
        ``entry`` or ``return``: when it can be read.
    add : int
        Bytes to add to the value, a pointer, before it is followed.
    bits : tuple of int
        Of a bit field: its lowest bit within the value, and its width.
    read : str
        How the last step is read where the type does not tell: ``text_at``.
    origin : str
        What its type is known from, for people.
    """

    source: str
    type: CType
    text: str = ""
    chain: tuple[int, ...] = ()
    memory: tuple[str, ...] = ()
    leads: str = EITHER
    stage: str = "entry"
    add: int = 0
    bits: tuple[int, int] = (0, 0)
    read: str = ""
    origin: str = ""

    def member(self, name: str) -> Operand:
        """Return a member of the struct that this is, or points to.

        Raises
        ------
        ParameterError
        """
        struct = self._target() if self.type.kind == POINTER else self.type
        text = f"{self.text}.{name}"
        if struct is None or struct.kind != STRUCT or struct.members is None:
            raise ParameterError(
                f"{self.text} has no member {name}.", why=f"Its type is {self.type.name}."
            )
        members = struct.members()
        if name not in members:
            raise ParameterError(
                f"{self.text} has no member {name}.",
                why=f"Its type is {self.type.name}.",
                advice=_choice(name, list(members)),
            )
        found = members[name]
        kind = found.type()
        offset, low = divmod(found.bit_offset, 8)
        bits = (0, 0)
        if found.bits:  # in the storage unit of its type, from where it is aligned
            size = kind.size
            offset = found.bit_offset // (8 * size) * size
            low = found.bit_offset - 8 * offset
            if low + found.bits > 8 * size:  # packed: it spans two units
                raise ParameterError(f"{text} is a bit field that spans two words.")
            bits = (low, found.bits)
        whole = self.follow() if self.type.kind == POINTER else self
        return whole.at(offset, kind, text, bits)

    def item(self, index: int) -> Operand:
        """Return an element of the array that this is, or points to.

        Raises
        ------
        ParameterError
        """
        text = f"{self.text}[{index}]"
        target = self._target()
        if target is None or not target.size:
            raise ParameterError(
                f"{self.text} has no elements.",
                why=f"Its type is {self.type.name}.",
                advice="Say what it points to: i32p(arg0)[1] is the second int behind arg0.",
            )
        if self.type.kind == ARRAY:
            if self.type.count and not 0 <= index < self.type.count:
                raise ParameterError(f"{text} lies outside: it has {self.type.count} elements.")
            return self.at(index * target.size, target, text)
        return self.follow().at(index * target.size, target, text)

    def follow(self) -> Operand:
        """Return what this pointer leads to, at offset 0."""
        target = self._target()
        if not self.chain:
            raise ParameterError(f"{self.text} cannot be followed.", why="it is no pointer")
        if len(self.chain) >= MAX_STEPS:
            raise ParameterError(f"{self.text} takes more than {MAX_STEPS - 1} pointers to follow.")
        return replace(
            self,
            chain=(*self.chain, self.add),
            memory=(*self.memory, self.leads),
            type=target or CType(VOID, "void", 0),
            add=0,
        )

    def at(self, offset: int, kind: CType, text: str, bits: tuple[int, int] = (0, 0)) -> Operand:
        """Return what lies at an offset from where this lies."""
        chain = (*self.chain[:-1], self.chain[-1] + offset)
        return replace(self, chain=chain, type=kind, text=text, bits=bits)

    def plus(self, count: int, text: str) -> Operand:
        """Return this pointer moved by elements of what it points to, bytes if that is unknown."""
        if self.type.kind not in (POINTER, INT) or not self.chain:
            raise ParameterError(f"{text}: {self.text} is no pointer.")
        target = self._target()
        step = target.size if target is not None and target.size else 1
        return replace(self, add=self.add + count * step, text=text)

    def cast(self, kind: CType, text: str) -> Operand:
        """Return this value as another type."""
        if self.type.kind not in (INT, POINTER):
            raise ParameterError(
                f"{text}: {self.text} is no number.", why=f"Its type is {self.type.name}."
            )
        return replace(self, type=kind, text=text)

    def as_text(self, text: str) -> Operand:
        """Return the text that this is, or points to.

        Raises
        ------
        ParameterError
        """
        if self.read == TEXT_AT or self.source == "comm":
            return self
        if self.type.kind == ARRAY:
            return replace(self, type=_chars(self.type.size), text=text)
        if self.type.kind == POINTER or (self.type.kind == INT and self.type.size == 8):
            pointer = replace(self, type=pointer_to(CHAR))
            return replace(pointer.follow(), type=_chars(0), text=text)
        raise ParameterError(
            f"{self.text} is no text.", why=f"Its type is {self.type.name}, not a pointer or array."
        )

    def value(self) -> Operand:
        """Return this as something that a column can hold: a number or a text.

        Raises
        ------
        ParameterError
            It is a struct, an array or a floating-point number.
        """
        if self.add:
            raise ParameterError(
                f"{self.text} is no value.", why="pointers that were moved can only be followed"
            )
        kind, target = self.type, self._target()
        if self.read == TEXT_AT or self.source == "comm":
            return self
        is_char = target is not None and target.char
        if kind.kind == ARRAY and (is_char or not self.chain):
            return self
        if kind.kind == POINTER and is_char:
            return self.as_text(self.text)
        if kind.kind in (INT, POINTER) and kind.size in (1, 2, 4, 8):
            return self
        raise ParameterError(f"{self.text} cannot be a column.", **self._why_not())

    def _why_not(self) -> dict[str, str]:
        kind = self.type
        why = f"Its type is {kind.name}."
        if kind.kind == STRUCT and kind.members is not None:
            members = list(kind.members())
            first = ", ".join(members[:12]) + (", ..." if len(members) > 12 else "")
            return {"why": why, "advice": f"Take a member: {first}."}
        if kind.kind == ARRAY:
            return {"why": why, "advice": f"Take an element: {self.text}[0]."}
        if kind.kind == FLOAT:
            return {"why": f"{why} Programs of the kernel cannot read floating-point registers."}
        return {"why": why}

    def _target(self) -> CType | None:
        return self.type.target() if self.type.target is not None else None


def _chars(count: int) -> CType:
    return CType(ARRAY, f"char[{count}]" if count else "char *", count, target=lambda: CHAR)


def _choice(name: str, there: list[str]) -> str:
    close = get_close_matches(name, there, 5, 0.5)
    shown = close or there[:20]
    return f"{'Similar' if close else 'It has'}: {', '.join(shown)}." if shown else ""
