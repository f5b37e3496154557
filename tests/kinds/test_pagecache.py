"""The page cache kind's settings, and its enum and columns as Python names them."""

import mmap

from workbench.elf import Elf
from workbench.event_texts import CACHE_OPS
from workbench.frames.pagecache import CREATED, SUMS
from workbench.kinds import find
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout

PAGECACHE = find("pagecache")
with Elf.open(PAGECACHE.path) as elf:
    BTF = Btf.parse(elf.section_bytes(".BTF"))


def test_settings():
    made = PAGECACHE.settings(PAGECACHE.check({"aggregate": True}), "aarch64")
    assert made["aggregate"] == 1
    assert 1 << made["page_shift"] == mmap.PAGESIZE
    assert made["nr_read"] == 63  # include/uapi/asm-generic/unistd.h


def test_texts_are_those_of_the_program():
    names = {v: k.removeprefix("WB_CACHE_").lower() for k, v in BTF.enum("wb_cache_op").items()}
    assert names == dict(enumerate(CACHE_OPS))


def test_the_kernel_sums_in_the_order_of_the_operations():
    names = [field.name for field in event_layout(BTF, "aggregate_value").fields]
    start = names.index(SUMS[0])
    assert names[start : start + len(SUMS) + 1] == [*SUMS, CREATED]
