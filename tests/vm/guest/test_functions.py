"""Own probes on functions of the kernel, which not every kernel allows: only in a guest."""

import polars as pl
import pytest

import workbench as wb
from workbench.errors import AttachError
from workbench.kinds import own_probe
from workbench.recorder import targets
from workbench.recorder.probe_source import source_for
from workbench.recorder.source import RING, Setup
from workbench.recorder.spec import Target

CALLS, SIZE = 300, 100
DD = ["dd", "if=/dev/zero", "of=/dev/null", f"bs={SIZE}", f"count={CALLS}"]
MINE = f"count == {SIZE}"
FILE = "str(file.f_path.dentry.d_name.name)"
PROBES = {
    "entry": {"probe": "kprobe:vfs_read", "fields": {"size": "count", "of": FILE}, "filter": MINE},
    "back": {
        "probe": "kretprobe:vfs_read", "fields": {"size": "count", "got": "retval"},
        "filter": MINE, "latency": True,
    },
    "entered": {
        "probe": "fentry:vfs_write", "fields": {"size": "count", "of": FILE}, "filter": MINE,
    },
    "left": {
        "probe": "fexit:vfs_write", "fields": {"size": "count", "wrote": "retval"},
        "filter": f"retval == {SIZE}", "latency": True,
    },
    "groups": {
        "probe": "fexit:vfs_read", "by": "retval", "filter": MINE, "latency": True,
        "aggregate": ["count", "sum(count)", "max(latency)", "hist(latency)"],
    },
    "sizes": {"probe": "kprobe:vfs_write", "by": {"size": "count"}, "aggregate": "count"},
}  # fmt: skip


def test_calls_arguments_results_and_durations():
    session = wb.probe(PROBES, command=DD, progress=False)
    assert session.losses["dropped"].sum() == 0
    assert not session.manifest.problems
    entry, back, entered, left = (
        session[name].polars().sort("ts") for name in ("entry", "back", "entered", "left")
    )
    for frame, file in ((entry, "zero"), (entered, "null")):
        assert frame["size"].to_list() == [SIZE] * CALLS
        assert frame["of"].to_list() == [file] * CALLS
        assert set(frame["comm"].cast(pl.String)) == {"dd"}
    assert back["got"].to_list() == left["wrote"].to_list() == [SIZE] * CALLS
    assert entry.schema["size"] == pl.UInt64  # size_t
    assert back.schema["got"] == pl.Int64  # ssize_t
    for frame in (back, left):  # one call follows the other, and takes its time
        ends = frame["ts"] + frame["latency"]
        assert (frame["latency"].cast(pl.Int64) > 0).all()
        assert (frame["ts"][1:] >= ends[:-1]).all()
    assert (left["ts"] > back["ts"]).all()  # it writes what it has read

    groups, sizes = (
        frame.filter(pl.col("ts") == pl.col("ts").max())
        for frame in (session["groups"].polars(), session["sizes"].polars())
    )
    (group,) = groups.iter_rows(named=True)
    assert (group["retval"], group["count"], group["sum_count"]) == (SIZE, CALLS, SIZE * CALLS)
    assert sum(group["hist_latency"]) == CALLS
    assert group["max_latency"] > 0
    assert sizes.filter(size=SIZE)["count"].item() == CALLS


BAD = [
    ("kprobe:vfs_raed", "no function of that name", "vfs_read"),
    ("kretprobe:get_current", "may have inlined it", ""),  # include/asm/current.h
    ("kprobe:notify_die", "notrace or nokprobe", "that calls it"),
    ("kprobe:vfs_read+1", "no instruction begins", "its entry"),
    ("fentry:vfs_raed", "BTF has no such function", "vfs_read"),
    ("fexit:entry_SYSCALL_64", "BTF has no such function", ""),
    ("fentry:notify_die", "notrace", "that calls it"),
]


@pytest.mark.parametrize(("point", "why", "instead"), BAD)
def test_what_cannot_be_probed_says_why_and_what_can(point, why, instead):
    target = Target(pid=1)
    setup = Setup(targets.filter_values(target), RING, 0, target=target)
    kind = own_probe("mine")
    with pytest.raises(AttachError) as caught:
        source = source_for(kind, setup, {}, 1 << 16, kind.check({"probe": point}))
        try:
            source.attach()
        finally:
            source.close()
    told = caught.value
    assert point.partition(":")[2].partition("+")[0] in told.what
    assert why in told.why
    assert instead in told.advice
    assert told.advice


def test_nothing_is_attached_beside_one_that_cannot_be():
    with pytest.raises(AttachError, match="notrace"):
        wb.probe(
            {"good": "fentry:vfs_read", "bad": "fentry:notify_die"}, command=["true"],
            progress=False,
        )  # fmt: skip
