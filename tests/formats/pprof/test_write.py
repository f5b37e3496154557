"""Sessions as profiles, as the protobuf library reads them. Go's own tool: test_go.py."""

from __future__ import annotations

import gzip
import re

import profile_pb
import pytest
import synthetic

from workbench.errors import MissingTableError
from workbench.formats import export
from workbench.recording import Recording

TRUTH = synthetic.truth(kinds=("cpu", "offcpu"), rows=700)


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("write") / "a.wb"
    return Recording.open(synthetic.make_session(path, kinds=("cpu", "offcpu"), rows=700))


def written(rec, folder, table=None):
    content = export(rec, "pprof", folder / "out", table=table).read_bytes()
    return profile_pb.plain(profile_pb.Profile.FromString(gzip.decompress(content)))


def test_stacks_threads_and_weights_are_the_truth(rec, tmp_path):
    found: dict[str, int] = {}
    for (stack, labels), values in written(rec, tmp_path)["samples"].items():
        thread = next((text for key, text, _, _ in labels if key == "thread"), "")
        names = [line[0][0] for location in stack for line in location[3]]
        key = ";".join([thread, *names[::-1]])
        found[key] = found.get(key, 0) + values[0]
        assert values[1] == values[0] * 10_101_010
    assert found == TRUTH.folded()


def test_labels_tell_thread_process_and_kind(rec, tmp_path):
    kinds: dict[str, set[str]] = {}
    commands = set()
    for stack, labels in written(rec, tmp_path)["samples"]:
        told = {key: text or number for key, text, number, _ in labels}
        leaf = stack[0][3][0][0][0]
        kinds.setdefault(leaf, set()).add(told["kind"])
        commands.add((told["pid"], told.get("comm")))
        assert told["tid"] in synthetic.THREADS
    assert kinds == {
        "compute": {"native"}, "helper": {"native"}, "memcpy": {"native"}, "vfs_read": {"kernel"},
        "handle": {"python"}, "LazyCompile:~f": {"jit"}, "do_syscall_64": {"kernel"},
        "[unknown]": {"unknown"},
    }  # fmt: skip
    # The name of the main thread, as it was last; 9999 is in no row.
    names = {1: "systemd", 1000: "bash", 2000: "job", 2100: "grep", 9999: None}
    assert commands == set(names.items())


def test_inlined_functions_share_a_location(rec, tmp_path):
    lines = [
        [line[0][0] for line in location[3]]
        for stack, _ in written(rec, tmp_path)["samples"]
        for location in stack
    ]
    assert ["helper", "compute"] in lines


def test_the_profile_says_where_it_comes_from(rec, tmp_path):
    found = written(rec, tmp_path)
    assert found["default"] == "cpu"
    assert found["period"] == ("cpu", "nanoseconds", 10_101_010)
    assert found["time"] == (synthetic.START, synthetic.DURATION)
    said = "\n".join(found["comments"])
    for text in (
        "ebpf-workbench",
        "command: python3 job.py",
        "host: synthetic 6.18.0",
        "were lost",
    ):
        assert text in said
    files = [mapping[3] for mapping in found["mappings"]]
    assert files == [
        "/usr/bin/job",
        "/usr/lib/libc.so.6",
        "[python]",
        "[kernel]",
        "[anon]",
        "[unknown]",
    ]
    builds = [mapping[4] for mapping in found["mappings"]]
    assert builds[:2] == ["ab" * 20, "cd" * 20]
    drop = re.compile(f"^({found['frames'][0]})$")
    assert drop.match("bpf_prog_0123456789abcdef_sample")
    assert not drop.match("compute")


def test_selections_are_honoured_and_told(rec, tmp_path):
    part = rec.where(pid=2000).window(2.0, 5.0)
    found = written(part, tmp_path, "offcpu")
    pids = {n for _, labels in found["samples"] for key, _, n, _ in labels if key == "pid"}
    assert pids == {2000}
    assert found["time"] == (synthetic.START + 2 * synthetic.SECOND, 3 * synthetic.SECOND)
    assert any("pid = 2000" in comment for comment in found["comments"])
    rows = part["offcpu"].polars()
    assert sum(v[0] for v in found["samples"].values()) == rows["weight"].sum()
    states = {t for _, labels in found["samples"] for key, t, _, _ in labels if key == "state"}
    assert states == set(rows["state"].cast(str).to_list())
    nothing = written(rec.where(pid=77), tmp_path)
    assert nothing["samples"] == {}


def test_the_same_session_gives_the_same_bytes(rec, tmp_path):
    for table in ("cpu", "offcpu"):
        one, two = (export(rec, "pprof", tmp_path / n, table=table).read_bytes() for n in "ab")
        assert one == two
        plain = export(rec, "pprof-plain", tmp_path / "c", table=table).read_bytes()
        assert gzip.decompress(one) == plain
        assert one[4:8] == bytes(4)  # no time of writing (RFC 1952, 2.3.1)


def test_without_stacks_there_is_no_profile(tmp_path):
    calls = Recording.open(synthetic.make_session(tmp_path / "b", kinds=("syscalls",), rows=9))
    with pytest.raises(MissingTableError):
        export(calls, "pprof", tmp_path / "out")
    assert not (tmp_path / "out").exists()
