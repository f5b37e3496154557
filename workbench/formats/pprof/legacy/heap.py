"""Allocations, as gperftools and Go's ``debug=1`` write them.

After ``heap profile: IN_USE: BYTES [ALLOCATED: BYTES] @ HOW/RATE`` one line a stack, with the same
four numbers. Where allocations were sampled, the numbers are those of the samples.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.legacy.build import Label, Legacy
from workbench.formats.pprof.legacy.maps import mappings
from workbench.formats.pprof.legacy.text import addresses, groups, names, refused, shown
from workbench.profiles.stack_texts import numbers

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_HEAD = re.compile(
    r"heap profile: *(\d+): *(\d+) *\[ *(\d+): *(\d+) *\] *@ *"
    r"(heapprofile|heapz?_v2|heap|growthz?|fragmentationz?)(?:/(\d{1,18}))?\s*$"
)
_SAMPLE = (
    r"^\s*(?<n>-?[0-9]+): *(?<size>-?[0-9]+) *\[ *(?<all>[0-9]+): *(?<total>[0-9]+) *\] @"
    r"(?<stack>[ x0-9a-f]*)\s*$"
)
DROP_FRAMES = "|".join(
    (
        r"(__libc_|tc_|malloc_zone_)?(malloc|calloc|realloc|free|memalign|valloc|pvalloc)",
        r"(tc_)?(cfree|aligned_alloc)",
        r"(__|tc_)?posix_memalign",
        r"tc_(new|delete)(array)?(_nothrow)?",
        r"operator (new|delete)(\[\])?.*",
        r"(tcmalloc|\(anonymous namespace\))::.*",
        r"(::)?do_(malloc|memalign).*",
        r"(__gnu_cxx::new_allocator|std::allocator).*::allocate",
        r"runtime\..*",
    )
)
"""Functions that allocate for others: of libc, C++, gperftools and Go."""
KEEP_FRAMES = r"runtime\.panic"
_BIGGEST = float((1 << 63) - 1024)


def read(lines: pl.Series, maps: pl.Series) -> Legacy:
    """Read allocations.

    Raises
    ------
    ImportFormatError
        The head tells no way of sampling that is known, or a sample is not whole.
    """
    head = _HEAD.match(str(lines[0]))
    if not head:
        raise refused(f"its first line tells no known way of sampling: {str(lines[0])[:80]!r}")
    how, rate = head[5], int(head[6] or 0)
    both = any(int(head[all_]) not in (0, int(head[used])) for used, all_ in ((1, 3), (2, 4)))
    # Go writes twice its rate, as early versions of gperftools did (runtime/pprof/pprof.go).
    period = {"heap": rate // 2, "heap_v2": rate, "heapz_v2": rate}.get(how, 1)
    found = groups(lines.slice(1), _SAMPLE)
    stacks = addresses(found["stack"])
    told = names(lines)
    stacks = shown(stacks[0] - np.uint64(1), stacks[1], told, runtime=False)
    pairs = (("all", "total"), ("n", "size")) if both else (("n", "size"),)
    block = np.zeros(len(found), np.int64)
    values: list[NDArray[np.int64]] = []
    for pair in pairs:
        count, size = (numbers(found[name], "An amount") for name in pair)
        if ((count == 0) & (size != 0)).any():
            raise refused("some bytes are those of no block")
        some = count != 0
        mean = np.abs(size[some]) // np.abs(count[some])
        block[some] = mean * np.sign(size[some]) * np.sign(count[some])
        values += unsampled(count, size, period) if period > 1 else (count, size)
    names_ = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
    short = names_ if both else ("objects", "space")
    return Legacy(
        tuple((name, "bytes" if name.endswith("space") else "count") for name in short),
        np.stack(values, axis=1),
        stacks,
        ("space", "bytes", period),
        mappings=mappings(maps),
        names=told,
        labels=(Label("bytes", np.arange(len(block)), block),),
        drop_frames=DROP_FRAMES,
        keep_frames=KEEP_FRAMES,
    )


def unsampled(
    count: NDArray[np.int64], size: NDArray[np.int64], rate: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many blocks and bytes there were, by those that were sampled.

    Of blocks of S bytes on average, of which one is sampled each `rate` bytes on average (by a
    Poisson process), 1 - exp(-S / rate) are: gperftools' docs/heapprofile.html and the comments
    of ``scaleHeapSample`` in google/pprof.
    """
    with np.errstate(all="ignore"):
        scale = 1 / (1 - np.exp(-(size / count) / rate))
        scaled = [np.where((count == 0) | (size == 0), 0, each * scale) for each in (count, size)]
    blocks, sizes = (np.clip(np.trunc(each), -_BIGGEST, _BIGGEST) for each in scaled)
    return blocks.astype(np.int64), sizes.astype(np.int64)
