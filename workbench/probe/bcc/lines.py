"""Lines of a program as BCC rewrote it, which the verifier counts, and as it was written."""

from __future__ import annotations

from difflib import SequenceMatcher

_FIRST = "#if defined(BPF_LICENSE)"
"""With this BCC begins what it has rewritten (src/cc/frontends/clang/b_frontend_action.cc)."""


def rewritten(printed: str) -> list[str]:
    """Return the rewritten program out of what BCC prints with DEBUG_PREPROCESSOR."""
    lines = printed.splitlines()
    return lines[lines.index(_FIRST) :] if _FIRST in lines else []


def original_lines(source: str, made: list[str]) -> dict[int, int]:
    """Return the line of a program for each line of it rewritten, both counted from 1.

    BCC changes expressions within lines, and adds lines before functions. Lines that are the same
    are found first; those between them by how alike they are.
    """
    written = source.splitlines()
    found: dict[int, int] = {}
    matcher = SequenceMatcher(None, written, made, autojunk=False)
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            found |= {b + i + 1: a + i + 1 for i in range(a_end - a)}
        elif tag == "replace":
            for j in range(b, b_end):
                alike = [SequenceMatcher(None, each, made[j]).ratio() for each in written[a:a_end]]
                found[j + 1] = a + 1 + alike.index(max(alike))
    return found
