"""What tests of readers share: reading bytes into a session, and files that are damaged."""

from __future__ import annotations

import io
import os
import random
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import ImportFormatError
from workbench.formats import formats, recognised
from workbench.profiles.session import session_of
from workbench.session import Session, load_profile

LIMIT_BYTES = 1 << 30
CASES = int(os.environ.get("WORKBENCH_FUZZ_CASES", "60"))
"""Damaged files for each reader; 10,000 take some minutes."""
PATIENCE_S = 120 + CASES // 10
"""Seconds that reading them may take: polars takes 10 ms for each on an idle machine."""


def session(content: bytes, path: Path, format: str | None = None) -> Session:
    """Import a file with this content."""
    file = path.with_suffix(".in")
    file.write_bytes(content)
    return load_profile(file, path, format=format, overwrite=True)


def self_and_total(rec: Session, kind: str, weight: str = "") -> dict[str, tuple[int, int]]:
    """Return self and total of each function's name."""
    found: dict[str, tuple[int, int]] = {}
    functions = rec.hotspots(kind, weight=weight).functions
    for name, own, total in functions.select("name", "self", "total").iter_rows():
        before = found.get(name, (0, 0))
        found[name] = (before[0] + own, before[1] + total)
    return found


def folded(rec: Session, kind: str) -> dict[str, int]:
    """Return the folded stacks without threads."""
    from workbench.frames.folded import folded as frame

    return dict(frame(rec, kind, by=()).iter_rows())


def mutated(seeds: Sequence[bytes], count: int, words: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield damaged files: bytes changed, cut, repeated, exchanged, hostile words put in."""
    chance = random.Random(1)
    hostile = [b"\0", b"\xff", b"-1", b"9" * 40, b"1e999", b"[" * 50, b"NaN", b";" * 30, *words]
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at, size = chance.randrange(len(data) + 1), chance.randint(1, 40)
            match chance.randrange(6):
                case 0:
                    data[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    del data[at : at + size]
                case 2:
                    data[at:at] = data[at : at + size] * chance.randint(1, 5)
                case 3:
                    data[at : at + chance.choice((0, size))] = chance.choice(hostile)
                case 4:
                    del data[at:]
                case _:
                    other = chance.randrange(len(data) + 1)
                    data[at:at] = data[other : other + size]
        yield bytes(data)


def fuzz(read: Callable[[Any], Any], files: Iterator[bytes]) -> tuple[int, int]:
    """Read damaged files; return how many were read, and how many refused.

    What is read has to make a session, what is not has to be refused with a reason.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    good = bad = 0
    for content in files:
        try:
            profile = read(io.BytesIO(content))
            session_of(profile, format="x", source="x", modified_ns=1)
            good += 1
        except ImportFormatError:
            bad += 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LIMIT_BYTES >> 10
    return good, bad


def recognised_as(content: bytes, name: str = "x") -> str:
    return recognised(io.BytesIO(content), name)[0]


def reader(name: str) -> Callable[[Any], Any]:
    found = formats()[name].read
    assert found
    return found
