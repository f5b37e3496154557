"""Targets: what the filter is told, which processes it begins with, when they end."""

import os
import select
import subprocess
from types import SimpleNamespace

import pytest

from workbench.errors import NotPermittedError, TargetError
from workbench.recorder.spec import Target
from workbench.recorder.targets import (
    ACTIVE,
    HELD,
    add_processes,
    cgroup_directory,
    filter_values,
    set_cgroup,
    watched,
)

SLEEP = ["sleep", "60"]


class FakeMap:
    """What a map is told."""

    def __init__(self, fails=None):
        self.told = {}
        self.fails = fails

    def update(self, key, value):
        if self.fails:
            raise self.fails
        self.told[int.from_bytes(key, "little")] = value


@pytest.fixture
def tree():
    """A shell with a child that has a child."""
    script = "sh -c 'echo $$; sleep 60 & echo $!; wait' & wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as shell:
        pids = [shell.pid, *(int(shell.stdout.readline()) for _ in range(2))]
        yield pids
        for pid in pids:  # a parent first: it would end by itself when its child has
            os.kill(pid, 9)


def test_filter_values():
    plain = filter_values(Target())
    assert {plain[f"wb_by_{x}"] for x in ("tree", "cgroup", "comm")} == {0}
    assert plain["wb_self"] == os.getpid()
    whole = filter_values(Target(pid=7, cgroup="/x", comm="dö", follow=False))
    assert {whole[f"wb_by_{x}"] for x in ("tree", "cgroup", "comm")} == {1}
    assert (whole["wb_comm"], whole["wb_follow"]) == ("dö".encode(), 0)


def test_the_end_of_the_target_is_readable():
    with subprocess.Popen(SLEEP) as process, watched(Target(pid=process.pid)) as fd:
        assert select.select([fd], [], [], 0)[0] == []
        process.kill()
        assert select.select([fd], [], [], 5)[0] == [fd]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_without_a_process_nothing_is_watched():
    with watched(Target(comm="x")) as fd:
        assert fd == -1


@pytest.mark.parametrize("pid", [1 << 22, 1 << 40])
def test_no_such_process(pid):
    with pytest.raises(TargetError, match=f"no process {pid}") as caught, watched(Target(pid=pid)):
        pytest.fail("not reached")
    assert caught.value.why


def test_descendants_are_found(tree):
    targets = FakeMap()
    found = add_processes(Target(pid=tree[0]), targets)
    assert found[0] == tree[0]
    assert set(found) == set(tree)
    assert targets.told == dict.fromkeys(tree, ACTIVE)


def test_descendants_are_left_out_when_not_wanted(tree):
    targets = FakeMap()
    assert add_processes(Target(pid=tree[0], follow=False), targets) == tree[:1]
    assert targets.told == {tree[0]: ACTIVE}


def test_a_held_command_is_alone_and_held(tree):
    targets = FakeMap()
    assert add_processes(Target(pid=tree[0], held=True), targets) == tree[:1]
    assert targets.told == {tree[0]: HELD}


def test_without_a_process_nothing_is_added():
    targets = FakeMap()
    assert add_processes(Target(comm="x"), targets) == []
    assert targets.told == {}


def mount():
    with open("/proc/mounts") as file:
        return next((line.split()[1] for line in file if line.split()[2] == "cgroup2"), None)


@pytest.mark.skipif(mount() is None, reason="no cgroup v2 is mounted")
@pytest.mark.parametrize("named", ["by path", "in the hierarchy"])
def test_cgroups(named):
    name = f"workbench-unit-{os.getpid()}"
    path = f"{mount()}/{name}"
    try:
        os.mkdir(path)
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        given = path if named == "by path" else f"/{name}"
        assert str(cgroup_directory(given)) == path
        told = FakeMap()
        sources = [
            SimpleNamespace(object=SimpleNamespace(maps={"wb_cgroup": told})),
            SimpleNamespace(object=SimpleNamespace(maps={})),
        ]
        set_cgroup(Target(cgroup=given), sources)
        assert set(told.told) == {0}
        refused = FakeMap(NotPermittedError("No."))
        sources[0].object.maps["wb_cgroup"] = refused
        with pytest.raises(TargetError, match="cannot be used as a cgroup"):
            set_cgroup(Target(cgroup=given), sources)
    finally:
        os.rmdir(path)


@pytest.mark.parametrize("name", ["/no/such/group", "/tmp", "../../tmp", "/../../../tmp"])
def test_what_is_no_cgroup(name):
    with pytest.raises(TargetError, match="no cgroup") as caught:
        cgroup_directory(name)
    assert "cgroup v2 is mounted at" in caught.value.why


def test_without_a_cgroup_nothing_is_told():
    told = FakeMap()
    set_cgroup(Target(), [SimpleNamespace(object=SimpleNamespace(maps={"wb_cgroup": told}))])
    assert told.told == {}


@pytest.mark.skipif(mount() is None, reason="no cgroup v2 is mounted")
@pytest.mark.parametrize(
    "form", ["{}", "docker-{}.scope", "cri-containerd-{}.scope", "crio-{}.scope", "libpod-{}.scope"]
)
def test_containers(form):
    first, second = (f"{os.getpid():012x}" + digit * 52 for digit in "ab")
    above = f"{mount()}/workbench-unit-{os.getpid()}"
    names = [form.format(first), f"crio-conmon-{first}.scope", form.format(second)]
    made = [above, *(f"{above}/{name}" for name in names)]
    try:
        os.mkdir(above)
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        for path in made[1:]:
            os.mkdir(path)
        assert str(cgroup_directory(first)) == made[1]
        assert str(cgroup_directory(first[:13])) == made[1]
        with pytest.raises(TargetError, match="2 containers"):
            cgroup_directory(first[:12])
        for name in (first[:11], first[:13] + "b", first + "a", "c" + first[1:]):
            with pytest.raises(TargetError, match="no cgroup"):
                cgroup_directory(name)
    finally:
        for path in reversed(made):
            if os.path.isdir(path):
                os.rmdir(path)
