"""Own probes on functions of the kernel, which not every kernel allows: only in a guest."""

import polars as pl
import pytest

import workbench as wb
from workbench.errors import AttachError
from workbench.kinds import own_probe
from workbench.recorder import targets
from workbench.recorder.probe_sources import source_for
from workbench.recorder.source import RING, KindSetup, Setup
from workbench.recorder.spec import Target

CALLS, SIZE = 300, 100
DD = ["dd", "if=/dev/zero", "of=/dev/null", f"bs={SIZE}", f"count={CALLS}"]
MINE = f"count == {SIZE}"
FILE = "str(file.f_path.dentry.d_name.name)"
KPROBES = {
    "entered": {
        "probe": "kprobe:vfs_read", "fields": {"size": "count", "of": FILE}, "filter": MINE,
    },
    "left": {
        "probe": "kretprobe:vfs_read", "fields": {"size": "count", "got": "retval"},
        "filter": MINE, "latency": True,
    },
    "groups": {
        "probe": "kretprobe:vfs_write", "by": "retval", "filter": MINE, "latency": True,
        "aggregate": ["count", "sum(count)", "max(latency)", "hist(latency)"],
    },
}  # fmt: skip
TRAMPOLINES = {
    "entered": KPROBES["entered"] | {"probe": "fentry:vfs_read"},
    "left": KPROBES["left"] | {"probe": "fexit:vfs_read", "filter": f"retval == {SIZE}"},
    "groups": KPROBES["groups"] | {"probe": "fexit:vfs_write"},
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("probes", [KPROBES, TRAMPOLINES], ids=["kprobes", "trampolines"])
def test_calls_arguments_results_and_durations(probes):
    session = wb.probe(probes, command=DD, progress=False)
    assert session.losses["dropped"].sum() == 0
    assert not session.manifest.problems
    entered, left = (session[name].polars().sort("ts") for name in ("entered", "left"))
    assert entered["size"].to_list() == [SIZE] * CALLS
    assert entered["of"].to_list() == ["zero"] * CALLS
    assert set(entered["comm"].cast(pl.String)) == {"dd"}
    mine = left.filter(size=SIZE)  # others may have returned as many bytes
    assert mine["got"].to_list() == [SIZE] * CALLS
    assert entered.schema["size"] == pl.UInt64  # size_t
    assert left.schema["got"] == pl.Int64  # ssize_t
    # One call follows the other, and takes its time.
    assert (left["latency"].cast(pl.Int64) > 0).all()
    ends = left["ts"] + left["latency"]
    assert (left["ts"][1:] >= ends[:-1]).all()
    groups = session["groups"].polars().with_columns(pl.col("max_latency").cast(pl.Int64))
    (group,) = groups.filter(pl.col("ts") == pl.col("ts").max()).iter_rows(named=True)
    assert (group["retval"], group["count"], group["sum_count"]) == (SIZE, CALLS, SIZE * CALLS)
    assert sum(group["hist_latency"]) == CALLS
    longest = group["max_latency"].bit_length() - 1  # its slot: powers of two of nanoseconds
    assert group["hist_latency"][longest] > 0 == sum(group["hist_latency"][longest + 1 :])


BAD = [
    ("kprobe:vfs_raed", "no function of that name; the compiler may have inlined it", "vfs_read"),
    ("kprobe:notify_die", "notrace or nokprobe", "that calls it"),
    ("kprobe:vfs_read+1", "no instruction begins", "its entry"),
    ("fexit:entry_SYSCALL_64", "BTF has no such function", "rawtp"),
    ("fentry:notify_die", "notrace", "that calls it"),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("point", "why", "instead"), BAD)
def test_what_cannot_be_probed_says_why_and_what_can(point, why, instead):
    target = Target(pid=1)
    setup = Setup(targets.filter_values(target), RING, 0, target=target)
    kind = own_probe("mine")
    with pytest.raises(AttachError) as caught:
        source = source_for(KindSetup(kind, setup, kind.check({"probe": point}), {}, 1 << 16))
        try:
            source.attach()
        finally:
            source.close()
    told = caught.value
    assert point.partition(":")[2].partition("+")[0] in told.what
    assert why in told.why
    assert instead in told.advice
    assert told.advice


@pytest.mark.timeout(200)
def test_nothing_is_attached_beside_one_that_cannot_be():
    with pytest.raises(AttachError, match="notrace"):
        wb.probe(
            {"good": "fentry:vfs_read", "bad": "fentry:notify_die"}, command=["true"],
            progress=False,
        )  # fmt: skip
