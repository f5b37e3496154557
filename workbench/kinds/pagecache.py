"""The page cache by file: each run of pages as an event, or sums made in the kernel."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping


READS = ("read", "readv", "pread64", "preadv", "preadv2")
"""System calls that read from one descriptor."""


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    numbers = number_of(machine)
    return {
        "aggregate": int(parameters["aggregate"]),
        "page_shift": mmap.PAGESIZE.bit_length() - 1,
        **{f"nr_{name}": numbers.get(name, -1) for name in READS},
    }


KIND = CaptureKind(
    name="pagecache",
    answers="Which files are in memory already when they are read, which pages come from the disk, "
    "which are made dirty and written back?",
    cost="about 1 µs for each run of pages that is looked up, added, removed or made dirty",
    probes=(
        "tp_btf/mm_filemap_get_pages",
        "tp_btf/mm_filemap_fault",
        "tp_btf/mm_filemap_map_pages",
        "tp_btf/mm_filemap_add_to_page_cache",
        "tp_btf/mm_filemap_delete_from_page_cache",
        "tp_btf/writeback_dirty_folio",
        "tp_btf/block_bio_queue",
    ),
    parameters=(Parameter("aggregate", False, "sum by process and file in the kernel"),),
    settings=_settings,
    ring_bytes=1 << 24,
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="pagecache_agg",
        count="events",
    ),
    arguments={"block_bio_queue": 1},  # before Linux 5.11 the queue stood before the bio
)
