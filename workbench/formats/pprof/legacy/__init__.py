"""Profiles as they were before profile.proto: texts of Go, gperftools and Java, and CPU profiles.

What Go's ``runtime/pprof`` writes with ``debug=1``, what gperftools writes, and what servers
that have neither gave at ``/pprof/``. The forms, and what is to be corrected in each (addresses
behind calls, samples of the heap, frames of the profiler itself), are those that google/pprof
reads: ``profile/legacy_profile.go`` and ``legacy_java_profile.go`` of its public repository.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from workbench.formats.pprof.legacy import contention, counts, cpu, heap, java, threads
from workbench.formats.pprof.legacy.build import Legacy, parsed
from workbench.formats.pprof.legacy.text import leading, refused, sections
from workbench.profiles.stack_texts import text_lines

if TYPE_CHECKING:
    import polars as pl

    from workbench.formats.pprof.parse import Parsed

MAX_BYTES = 1 << 27
"""Bytes of a text: while it is read, some 20 times as much memory is needed."""
_TEXT = re.compile(
    rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*"
    rb"(?:heap profile: *\d+: *\d+ *\[|\S{1,200} profile: total \d+\s|--- (?:"
    rb"contention(?::|z )|mutex:|heapz 1 ---|threadz \d+ ---|Thread [0-9A-Fa-f]+ \(name: ))"
)
"""How a text begins, behind comments."""


def recognised(head: bytes) -> bool:
    """Return whether bytes begin a profile of one of these kinds."""
    return cpu.words(head) is not None or _TEXT.match(head) is not None


def parse(content: bytes) -> Parsed:
    """Return the columns of a profile.

    Parameters
    ----------
    content : bytes
        All of it, not compressed.

    Raises
    ------
    ImportFormatError
        It is none of these, damaged, or too large.
    """
    if cpu.words(content) is not None:
        return parsed(cpu.read(content))
    return parsed(_text(leading(text_lines(io.BytesIO(content), MAX_BYTES))))


def _text(lines: pl.Series) -> Legacy:
    first = str(lines[0]) if len(lines) else ""
    if java.begins(first):
        attributes = java.attributes(lines)
        if attributes is not None:
            return java.text(lines, attributes)
    body, maps = sections(lines)
    if first.startswith(("--- threadz", "--- Thread ")):
        return threads.read(body, maps)
    if first.startswith("---"):
        return contention.read(body, maps)
    if " profile: total " in first:
        return counts.read(body, maps)
    if first.startswith("heap profile:"):
        return heap.read(body, maps)
    raise refused("it begins as none of them does")
