"""Tables of programs, by their descriptions and their BTF."""

import os

import pytest
from compile_bpf import bpf_descriptors

from workbench.errors import ObjectFormatError
from workbench.probe.bcc import finder, headers, text
from workbench.probe.bcc.compiler import Compiler
from workbench.probe.bcc.tables import found

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(
        finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
    ),
]
PROGRAM = """
struct one { u64 ts; u32 pid; };
struct two { u64 ts; u32 pid; char comm[16]; };
BPF_QUEUE(queue, struct two, 8);
BPF_HASH(numbers, u32, s16);
BPF_PERF_OUTPUT(events);
BPF_PERF_OUTPUT(unknown);
int f(struct pt_regs *ctx)
{
    struct two e = {};
    events.perf_submit(ctx, &e, sizeof(e));
    return 0;
}
"""


@pytest.fixture(scope="module")
def made():
    """Tables of the program as the compiler gives them; they stay open for this file's tests."""
    source = text.wrapped(PROGRAM, text.struct_names(PROGRAM))
    headers_ = headers.find()
    compiler = Compiler()
    where = "" if headers_.installed else str(headers_.path)
    compiled = compiler.compile(source, ["-Wno-everything", *headers_.prepare(source)], where)
    compiler.close()
    yield compiled.tables
    for each in compiled.tables:
        os.close(each.fd)
    assert bpf_descriptors() == []


def test_tables_and_buffers(made):
    sorted_ = found(made, {})
    assert list(sorted_.tables) == ["queue", "numbers"]
    assert sorted_.tables["queue"].value.names == ["ts", "pid", "comm"]
    assert sorted_.tables["numbers"].value.dtype == "i2"
    assert sorted_.buffers["events"].event.name == "two"
    assert sorted_.buffers["unknown"].event is None
    assert not sorted_.buffers["events"].is_ring
    numbers = [each.number for each in sorted_.buffers.values()]
    assert len(sorted_.counters.polars()) == text.BUFFERS * os.cpu_count()
    assert len(set(numbers)) == 2
    assert min(numbers) > 1


def test_types_that_are_named(made):
    sorted_ = found(made, {"unknown": "struct one"})
    assert sorted_.buffers["unknown"].event.names == ["ts", "pid"]
    with pytest.raises(ObjectFormatError, match="no type struct three"):
        found(made, {"unknown": "struct three"})


def test_without_counters_losses_are_not_told(made):
    rest = [each for each in made if each.name != text.COUNTERS]
    assert found(rest, {}).counters is None
