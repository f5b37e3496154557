from __future__ import annotations

import errno
import mmap
import re
from pathlib import Path

import pyarrow as pa
import pytest

from workbench.probe.memory import give_back

SIZE = 1 << 20


def resident(address: int) -> int:
    """Return how many KiB of the mapping at an address have pages, as the kernel counts them."""
    maps = Path("/proc/self/smaps").read_text()
    found = re.search(rf"^{address:x}-.*?^Rss: *(\d+) kB", maps, re.MULTILINE | re.DOTALL)
    assert found
    return int(found[1])


def test_pages_go_and_come_again(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * SIZE)
    buffer = pa.memory_map(str(tmp_path / "a")).read_buffer()
    assert buffer.to_pybytes() == b"x" * SIZE
    assert resident(buffer.address) == SIZE >> 10
    give_back(buffer.address, buffer.size)
    assert resident(buffer.address) == 0
    assert buffer.to_pybytes() == b"x" * SIZE


def test_nothing_and_what_is_no_mapping():
    give_back(0, 0)
    with pytest.raises(OSError, match="madvise") as raised:
        give_back(mmap.PAGESIZE + 1, mmap.PAGESIZE)
    assert raised.value.errno == errno.EINVAL
