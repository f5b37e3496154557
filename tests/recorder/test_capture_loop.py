"""The recording loop, in this process: every way to end, and what is left then."""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from compile_bpf import bpf_descriptors
from programs import let_run
from synthetic import make_session

import workbench as wb
from workbench.errors import LoadError, StorageError, TargetError
from workbench.recorder import capture_loop as module
from workbench.recorder.capture_loop import CaptureLoop, pack_in_place
from workbench.recorder.source import PERF, RING
from workbench.recorder.spec import Spec, Target

BUSY = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=1000000000"]
KERNEL = pytest.mark.kernel


@pytest.fixture
def busy():
    with subprocess.Popen(BUSY, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


class Told(list):
    """What a loop told; when it is ready, something is done."""

    when_ready = None

    def append(self, message):
        super().append(message)
        if message["event"] == "ready" and self.when_ready:
            threading.Thread(target=self.when_ready).start()


class Control:
    """The two descriptors of a loop, and what it told."""

    def __init__(self):
        self.client, self.signal = os.pipe(), os.pipe()
        self.told = Told()

    def run(self, spec, after=None, act=None, when_ready=None):
        self.told.when_ready = when_ready
        if act:
            timer = threading.Timer(after, act)
            timer.start()
        loop = CaptureLoop(spec.checked(), (self.client[0], self.signal[0]), self.told.append)
        path = loop.run()
        return loop, wb.open(path)

    def close(self):
        for fd in (*self.client, *self.signal):
            try:
                os.close(fd)
            except OSError:
                pass


@pytest.fixture
def control():
    made = Control()
    yield made
    made.close()
    assert bpf_descriptors() == []


def spec(tmp_path, kinds=("syscalls",), **options):
    return Spec({kind: {} for kind in kinds}, str(tmp_path / "s.wb"), **options)


@KERNEL
@pytest.mark.parametrize("transport", ["ring", "perf", "auto"])
def test_a_duration(tmp_path, control, busy, transport):
    wanted = spec(
        tmp_path,
        target=Target(pid=busy.pid, command=tuple(BUSY)),
        duration=0.3,
        transport=transport,
        ring_bytes=1 << 22,
        overhead="always",
    )
    loop, session = control.run(wanted)
    assert loop.reason == session.manifest.reason == "the duration is over"
    assert session.state == "complete"
    assert (tmp_path / "s.wb").is_file()
    assert session["syscalls"].polars()["pid"].unique().to_list() == [busy.pid]
    for row in session.manifest.losses:
        assert row["produced"] == row["delivered"] + sum(row["dropped"].values())
    delivered = sum(r["delivered"] for r in session.manifest.losses if r["kind"] == "syscalls")
    assert delivered == session["syscalls"].num_rows > 1000
    cost = {row["program"]: row for row in session.manifest.overhead}
    assert cost["syscall_enter"]["run_count"] > 1000
    assert session.manifest.host["kernel"] == os.uname().release
    assert set(session.manifest.objects) == {"process", "syscalls"}
    assert session.manifest.target["command"] == BUSY
    assert control.told[0]["event"] == "ready"
    assert control.told[-1] == control.told[-1] | {"event": "saving", "rows": delivered}
    assert {m["event"] for m in control.told[1:-1]} <= {"progress"}


@KERNEL
def test_a_word_of_the_client(tmp_path, control, busy):
    wanted = spec(tmp_path, target=Target(pid=busy.pid), pack=False)
    loop, session = control.run(wanted, 0.1, lambda: os.write(control.client[1], b"stop\n"))
    assert loop.reason == "stopped by the user"
    assert session.path.is_dir()


@KERNEL
def test_the_end_of_the_client(tmp_path, control, busy):
    wanted = spec(tmp_path, target=Target(pid=busy.pid))
    loop, _ = control.run(wanted, 0.1, lambda: os.close(control.client[1]))
    assert loop.reason == module.CLIENT_GONE
    assert busy.poll() is None


@KERNEL
@pytest.mark.parametrize("script", ["sleep 60", "trap '' TERM; while :; do sleep 0.01; done"])
def test_the_end_of_the_client_is_that_of_its_command(tmp_path, control, monkeypatch, script):
    monkeypatch.setattr(module, "ORPHAN_S", 0.3)
    with subprocess.Popen(["sh", "-c", script]) as command:
        wanted = spec(tmp_path, target=Target(pid=command.pid, held=True))
        control.run(wanted, 0.2, lambda: os.close(control.client[1]))
        assert command.wait(5) in (-signal.SIGTERM, -signal.SIGKILL)


@KERNEL
def test_a_signal(tmp_path, control, busy):
    wanted = spec(tmp_path, target=Target(pid=busy.pid))
    loop, _ = control.run(wanted, 0.1, lambda: os.write(control.signal[1], b"x"))
    assert loop.reason == "stopped by a signal"


@KERNEL
def test_the_end_of_the_target(tmp_path, control):
    script = "read line; ls / > /dev/null; exit 3"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE) as target:
        wanted = spec(tmp_path, target=Target(pid=target.pid))
        loop, session = control.run(wanted, when_ready=target.stdin.close)
    assert loop.reason == "the target ended"
    rows = session["processes"].arrow().to_pylist()
    mine = [row for row in rows if row["pid"] == target.pid]
    assert mine[0]["event"] == "snapshot"
    assert (mine[-1]["event"], mine[-1]["exit_code"]) == ("exit", 3 << 8)
    child = [row["event"] for row in rows if row["ppid"] == target.pid and row["comm"] == "ls"]
    # A call of a child can be drained before its fork: then /proc is asked for its name, too.
    assert [event for event in child if event != "snapshot"] == ["rename", "exec", "exit"]


@KERNEL
def test_all_kinds_at_once(tmp_path, control, busy):
    wanted = spec(tmp_path, ("cpu", "syscalls"), target=Target(pid=busy.pid))

    def stop():
        let_run(busy.pid, 0.3)  # 30 samples
        os.write(control.client[1], b"stop\n")

    _, session = control.run(wanted, when_ready=stop)
    assert set(session.tables) == {"cpu", "syscalls", "processes", "stacks", "frames"}
    assert session["cpu"].num_rows > 5
    assert session.flamegraph()._repr_html_()


@KERNEL
def test_counts_made_in_the_kernel(tmp_path, control, busy):
    wanted = Spec({"syscalls": {"aggregate": True}}, str(tmp_path / "s.wb"), Target(pid=busy.pid),
                  duration=1.3, overhead="off")  # fmt: skip
    _, session = control.run(wanted)
    assert "syscalls" not in session.tables
    calls = session["syscalls_agg"].polars()["calls"].sum()
    assert calls == sum(r["delivered"] for r in session.manifest.losses if r["kind"] == "syscalls")


@KERNEL
def test_a_target_that_is_not_there(tmp_path, control):
    with pytest.raises(TargetError):
        control.run(spec(tmp_path, target=Target(pid=1 << 22)))
    with pytest.raises(TargetError, match="no cgroup"):
        control.run(spec(tmp_path, target=Target(cgroup="/no/such")))
    assert list(tmp_path.iterdir()) == []
    assert control.told == []


@KERNEL
def test_a_place_that_is_taken(tmp_path, control, busy):
    (tmp_path / "s.wb").mkdir()
    (tmp_path / "s.wb" / "mine").write_text("precious")
    with pytest.raises(StorageError, match="not empty"):
        control.run(spec(tmp_path, target=Target(pid=busy.pid), duration=1))
    assert (tmp_path / "s.wb" / "mine").read_text() == "precious"


@KERNEL
def test_a_kind_that_cannot_be_loaded_takes_the_others_along(tmp_path, control, monkeypatch, busy):
    real = module.make_source

    def make(kind, *arguments):
        if kind.name == "syscalls":
            raise LoadError("Refused.")
        return real(kind, *arguments)

    monkeypatch.setattr(module, "make_source", make)
    with pytest.raises(LoadError):
        control.run(spec(tmp_path, ("cpu", "syscalls"), target=Target(pid=busy.pid)))
    assert list(tmp_path.iterdir()) == []


def test_pack_in_place(tmp_path):
    path = make_session(tmp_path / "s.wb", rows=20, saved=False)
    pack_in_place(path)
    assert [p.name for p in tmp_path.iterdir()] == ["s.wb"]
    assert wb.open(path)["cpu"].num_rows == 20


def test_what_cannot_be_packed_stays_as_it_is(tmp_path, monkeypatch):
    path = make_session(tmp_path / "s.wb", rows=20, saved=False)

    def full(_path, part):
        Path(part).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.store.archive.pack", full)
    with pytest.raises(StorageError, match="could not be packed") as caught:
        pack_in_place(path)
    assert "No space" in caught.value.why
    assert [p.name for p in tmp_path.iterdir()] == ["s.wb"]
    assert wb.open(path)["cpu"].num_rows == 20


def test_transports(tmp_path, monkeypatch):
    for name, number in (("ring", RING), ("perf", PERF)):
        assert module._transport(spec(tmp_path, transport=name)) == number
    for has, number in ((True, RING), (False, PERF)):
        monkeypatch.setattr("workbench.probe.support.has_ring_buffer", lambda has=has: has)
        assert module._transport(spec(tmp_path)) == number


def test_parameters_and_host_are_plain_values():
    kinds = {"syscalls": {"syscalls": ("read",), "aggregate": False}}
    assert module._plain(kinds) == {"syscalls": {"syscalls": ["read"], "aggregate": False}}
    host = module._host()
    assert json.loads(json.dumps(host)) == host
    assert host["cpus"] == os.cpu_count()
