"""Words behind records, taken apart."""

import numpy as np

from workbench.elf import Elf
from workbench.event_texts import STACK_STATUSES, WHOLE_STACKS
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.pystacks.frames import ENTRY, HIDDEN, STATUSES
from workbench.recorder.stack_words import EXACT, Samples, add_python_status, split, word_counts

E = int(EXACT)
KERNEL = 0xFFFFFFFF81000000
# (kernel, user, python) words of each record
PLAIN = [
    ([KERNEL, KERNEL + 8], [E | 3 << 48 | 0x10, 3 << 48 | 0x20], [(7, 1), (8, 2)]),
    ([], [E | 0x7F0000001000, 5 << 48 | 0x30, E | 6 << 48], []),
    ([], [], [(9, 3)]),
    ([], [], []),
    ([KERNEL + 16], [], []),
]


def samples():
    names = ("kernel_depth", "user_depth", "python_depth")
    depths = [tuple(map(len, record)) for record in PLAIN]
    records = np.array(depths, [(name, "u2") for name in names])
    words = [w for k, u, p in PLAIN for w in (*k, *u, *(x for pair in p for x in pair))]
    return Samples("t", lambda *_: None, records, np.array(words, np.uint64))


def test_each_word_is_in_its_part():
    given = samples()
    assert word_counts(given.records).tolist() == [8, 3, 2, 0, 1]
    parts = split(given)
    assert parts.depths.tolist() == [4, 3, 0, 0, 1]
    assert parts.python.tolist() == [[7, 1], [8, 2], [9, 3]]
    assert parts.python_depths.tolist() == [2, 0, 1, 0, 0]
    assert parts.in_kernel.tolist() == [True, True, *[False] * 5, True]
    assert parts.images.tolist() == [0, 0, 3, 3, 0, 5, 6, 0]
    assert parts.exact.tolist() == [True, False, True, False, True, False, True, True]
    offsets = [KERNEL, KERNEL + 8, 0x10, 0x20, 0x7F0000001000, 0x30, 0, KERNEL + 16]
    assert parts.offsets.tolist() == offsets


def test_no_samples_at_all():
    parts = split(Samples("t", lambda *_: None, samples().records[:0], np.zeros(0, np.uint64)))
    assert [len(a) for a in (parts.native, parts.exact, parts.images, parts.python)] == [0] * 4


def test_statuses_are_those_of_the_programs():
    with Elf.open(OBJECTS / "cpu.bpf.o") as elf:
        enum = Btf.parse(elf.section_bytes(".BTF")).enum("wb_stack_status")
    names = {number: name.removeprefix("WB_STACK_").lower() for name, number in enum.items()}
    assert names == dict(enumerate(STACK_STATUSES))
    assert set(WHOLE_STACKS) < set(STACK_STATUSES)


def test_python_frames_that_are_missing_make_a_stack_incomplete():
    hidden, entry = int(HIDDEN), int(ENTRY)
    ends = {name: (STATUSES.index(name), hidden) for name in STATUSES}
    cases = [
        # user words, Python frames, status before, status after
        ([1, 2], [(7, 1), (8, entry)], "complete", "complete"),
        ([1], [(7, 1), ends["truncated"]], "complete", "python_truncated"),
        ([1], [(7, 1)], "complete", "complete"),  # what follows is not taken for its end
        ([1], [ends["read_fault"]], "complete", "python_incomplete"),
        ([], [(7, 1), ends["many_threads"]], "complete", "python_incomplete"),
        ([1], [(0, hidden | entry)], "complete", "complete"),  # about to enter its first frame
        ([1], [(7, 1), ends["truncated"]], "image_missing", "image_missing"),
        ([1], [], "complete", "complete"),
    ]
    names = ("kernel_depth", "user_depth", "python_depth", "stack_status")
    heads = [(0, len(u), len(p), STACK_STATUSES.index(s)) for u, p, s, _ in cases]
    records = np.array(heads, [(name, "u2") for name in names])
    words = [word for u, p, *_ in cases for word in (*u, *(x for pair in p for x in pair))]
    add_python_status(records, np.array(words, np.uint64))
    assert [STACK_STATUSES[n] for n in records["stack_status"]] == [case[3] for case in cases]
    add_python_status(records[:0], np.zeros(0, np.uint64))
