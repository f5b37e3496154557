"""Readable names of C++, Rust and Swift functions.

``pydemumble`` (LLVM's demanglers and Rust's v0, BSD) does it where it is installed: it needs no
library at run time, knows both of Rust's schemes, and refuses what it does not understand.
Without it names stay as the compiler made them, which every viewer can still demangle.

Mangled names are compressed, and 170 characters can stand for 10 GB. The recorder, which may be
root, demangles names out of anybody's files, so a name whose text could exceed
:data:`MAX_EXPANSION` stays mangled: 0.2 % of node's names.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable

MAX_MANGLED = 2048
MAX_READABLE = 4096
MAX_EXPANSION = 2e7
"""Bound on the characters that a name may stand for."""

_REFERENCE = re.compile(r"[STB][0-9A-Za-z]*_")
"""Substitutions and template parameters (Itanium C++ ABI 5.1.8, 5.1.5), Rust v0's backrefs."""
_PACK = re.compile(r"Dp|sp")
"""Pack expansions."""
_MARKS = ("_Z", "_R", "__Z", "$s", "$S")


def _load() -> Callable[[str], str] | None:
    try:
        function: Callable[[str], str] = importlib.import_module("pydemumble").demangle
    except (ImportError, AttributeError):
        return None
    return function


_demangle = _load()
available = _demangle is not None
"""Whether names are demangled in this process."""


def demangled(name: str) -> str:
    """Return the readable name of a function, or `name` itself.

    Parameters
    ----------
    name : str
        As it is in the symbol table; a suffix such as ``@plt`` stays at the end.

    Returns
    -------
    str
    """
    if _demangle is None or not name.startswith(_MARKS) or expansion(name) > MAX_EXPANSION:
        return name
    mangled, at, suffix = name.partition("@")
    try:
        readable = _demangle(mangled)
    except UnicodeError:
        # Rust's punycode can spell what is no text.
        return name
    return readable + at + suffix if 0 < len(readable) <= MAX_READABLE else name


def expansion(name: str) -> float:
    """Return a bound on the length of the text that a mangled name stands for.

    `n` references to what came before multiply the text by at most 3^(n/3), the largest product
    of numbers whose sum is `n`; `k` nested pack expansions share the name's characters.
    """
    if len(name) > MAX_MANGLED:
        return float("inf")
    references = min(len(_REFERENCE.findall(name)), 100)
    packs = len(_PACK.findall(name))
    return float(len(name) * 3 ** (references / 3) * (len(name) / max(packs, 1)) ** min(packs, 20))
