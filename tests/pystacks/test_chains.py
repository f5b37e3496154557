"""Python chains read in the kernel equal what the interpreter says of itself."""

from __future__ import annotations

import platform
from collections import Counter
from itertools import pairwise

import pytest
from compile_bpf import compile_bpf
from pystacks_interpreters import CALL, HERE, STOP, TICK, VERSIONS, Workload, interpreters, recorded

pytestmark = pytest.mark.kernel

SCENARIOS = (
    *("plain", "lines", "recursion", "generator", "callbacks", "exceptions", "made_code"),
    *("class_body", "awaiting", "threads", "names", "jumps"),
)
COMMANDS = interpreters()
each_python = pytest.mark.parametrize("python", COMMANDS)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    arch = {"x86_64": "x86", "aarch64": "arm64"}[platform.machine()]
    head = f"#define __TARGET_ARCH_{arch}\n" + (HERE / "stacks.bpf.c").read_text()
    return compile_bpf(tmp_path_factory.mktemp("python"), "", head=head)


@pytest.fixture
def workload(python):
    running = Workload(COMMANDS[python])
    yield running
    running.close()


def by_thread(stacks):
    found = {}
    for tid, frames in stacks:
        found.setdefault(tid, []).append(frames)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_an_interpreter(version):
    if not any(name.startswith(version + ".") for name in COMMANDS):
        pytest.skip(f"no Python {version} here; name one in WORKBENCH_TEST_PYTHONS")


@each_python
def test_stacks_at_known_places(program, workload, python):
    with recorded(program, workload, "call") as recorder:
        for scenario in SCENARIOS:
            told = workload.run(scenario)
            stacks = recorder.drain()
            assert by_thread((s.tid, s.frames) for s in stacks) == by_thread(told), scenario
            assert {s.status for s in stacks} == {0}
            assert {s.source for s in stacks} == {CALL}
            assert all(s.entries[-1] for s in stacks), "the root was entered from C"
        codes = recorder.announced
        assert codes == len(recorder.codes) > 50
        workload.run("recursion")
        recorder.drain()
        assert recorder.announced == codes, "each is announced once"
        assert recorder.decoder.unknown == 0
