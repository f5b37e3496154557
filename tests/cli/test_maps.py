"""``workbench maps``: lists and dumps maps of this user's processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compile_bpf import PROGRAM, compile_bpf

from workbench.cli import main
from workbench.cli import maps as module
from workbench.errors import MapError

ROOT = Path(__file__).parents[2]
MAPS = """
struct who { __u32 pid; char comm[8]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 7); __type(key, struct who);
    __type(value, __u64); } wb_maps_test SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32);
    __type(value, __u64); } wb_maps_cpu SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } wb_maps_ring SEC(".maps");
"""
HOLDER = """
import sys
from workbench.probe.objects import Object
from workbench.probe.typed_map import of_object
with Object(sys.argv[1]) as obj:
    obj.load()
    of_object(obj.btf, obj.maps["wb_maps_test"])[{"pid": 5, "comm": "x"}] = 42
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """A process with maps, as a notebook with a cell is."""
    path = compile_bpf(tmp_path, MAPS + PROGRAM)
    command = [sys.executable, "-c", HOLDER, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate("\n")


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_listed_and_dumped(holder, capsys):
    assert holder.pid in module.own_processes()
    assert main(["maps", "--pid", str(holder.pid), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    mine = rows["wb_maps_test"]
    assert (mine["type"], mine["key_bytes"], mine["value_bytes"]) == ("hash", 12, 8)
    assert (mine["max_entries"], mine["pid"]) == (7, holder.pid)
    assert rows["wb_maps_ring"]["type"] == "ringbuf"

    assert main(["maps", "--pid", str(holder.pid)]) == 0
    text = capsys.readouterr().out
    assert "percpu_array" in text
    assert "wb_maps_cpu" in text

    pid = ["--pid", str(holder.pid)]
    assert main(["maps", "wb_maps_test", "--json", *pid]) == 0
    assert json.loads(capsys.readouterr().out) == {"pid": 5, "comm": "x", "value": 42}
    assert main(["maps", str(mine["id"]), *pid]) == 0
    assert "comm" in capsys.readouterr().out
    assert main(["maps", "wb_maps_ring", *pid]) == 1
    assert "is a ringbuf, which cannot be dumped" in capsys.readouterr().err
    assert main(["maps", "no_such_map", *pid]) == 1
    assert "There is no map no_such_map" in capsys.readouterr().err


def test_nothing_runs(capsys, monkeypatch):
    monkeypatch.setattr(module, "own_processes", list)
    assert main(["maps"]) == 0
    assert capsys.readouterr().out == "No capture and no cell of this user runs.\n"
    assert main(["maps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_several_of_one_name(monkeypatch):
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}, {"id": 2, "name": "a"}]
    monkeypatch.setattr(module, "listing", lambda _: rows)
    with pytest.raises(MapError, match="2 maps named a") as caught:
        module.found("a", [1])
    assert caught.value.advice == "Give the number of one: 1, 2."


def test_whose_processes(tmp_path):
    def process(pid, cmdline, comm="python3", maps=""):
        folder = tmp_path / str(pid)
        (folder / "fdinfo").mkdir(parents=True)
        (folder / "fdinfo" / "3").write_text("map_id:\t9\n")
        (folder / "cmdline").write_bytes(cmdline)
        (folder / "comm").write_text(comm + "\n")
        (folder / "maps").write_text(maps)

    process(11, b"python3\0-m\0workbench.recorder\0")
    process(12, b"python3\0notebook\0", maps="7f /usr/lib/libbpf.so.1.1\n")
    process(13, b"python3\0other\0")
    process(14, b"bpftrace\0", comm="bpftrace", maps="7f /usr/lib/libbpf.so.1.1\n")
    process(15, b"python3\0-m\0workbench.recorder\0")
    (tmp_path / "15" / "fdinfo" / "3").write_text("pos:\t0\n")
    (tmp_path / "self").mkdir()
    assert module.own_processes(tmp_path) == [11, 12]
