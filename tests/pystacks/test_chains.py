"""Python chains read in the kernel equal what the interpreter says of itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pystacks_interpreters import (
    CALL,
    SCENARIOS,
    STOP,
    TICK,
    VERSIONS,
    Workload,
    by_thread,
    compiled_stacks,
    interpreters,
    recorded,
)

from workbench.pystacks import STATUSES

pytestmark = pytest.mark.kernel

COMMANDS = interpreters()
each_python = pytest.mark.parametrize("python", COMMANDS)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return compiled_stacks(tmp_path_factory.mktemp("python"))


@pytest.fixture
def workload(python):
    running = Workload(COMMANDS[python])
    yield running
    running.close()


@pytest.fixture
def workload_of_any():
    running = Workload(next(iter(COMMANDS.values())))
    yield running
    running.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_an_interpreter(version):
    if not any(name.startswith(version + ".") for name in COMMANDS):
        pytest.skip(
            f"no Python {version} here; name one in WORKBENCH_TEST_PYTHONS, or call "
            f"tools/debian-python.sh {version}"
        )


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


@each_python
def test_a_chain_that_is_too_long_says_so(program, workload, python):
    with recorded(program, workload, "call") as recorder:
        ((tid, told),) = workload.run("deep")
        (stack,) = recorder.drain()
    assert stack.tid == tid
    assert len(told) > 300
    assert stack.frames == told[:126]
    assert STATUSES[stack.status] == "truncated"
    assert len(stack.words) == 127


@each_python
def test_sub_interpreters(program, workload, python):
    with recorded(program, workload, "call") as recorder:
        told = workload.run("interpreters")
        stacks = recorder.drain()
    assert [stack.frames for stack in stacks] == [frames for _, frames in told]
    inner = stacks[0]
    assert [frame[0] for frame in inner.frames][:3] == ["sub", "<module>", "interpreters"]
    assert inner.entries[:3] == [False, True, False]


@each_python
def test_threads_with_interpreters_of_their_own(program, workload, python):
    with recorded(program, workload, "call") as recorder:
        told = workload.run("interpreter_threads")
        stacks = recorder.drain()
    assert by_thread((s.tid, s.frames) for s in stacks) == by_thread(told)
    assert len(stacks) == 8
    assert {s.status for s in stacks} == {0}


@each_python
def test_threads_that_wait(program, workload, python):
    with recorded(program, workload, "stop") as recorder:
        told = dict(workload.run("blocked"))
        stacks = recorder.drain()
    assert len(told) == 3
    for tid, frames in told.items():
        # They were told after they had waited for a while, and stop but once more to end.
        seen = [stack.frames for stack in stacks if stack.tid == tid]
        assert frames in seen
    assert {stack.source for stack in stacks} == {STOP}


@each_python
def test_samples_at_any_instruction(program, workload, python):
    with recorded(program, workload, "tick", hz=1999) as recorder:
        workload.run("busy")
        stacks = [stack for stack in recorder.drain() if stack.frames]
    assert len(stacks) > 100  # of 800 in 0.4 s of CPU time
    callers = {
        **{"busy.<locals>.fib": {"busy.<locals>.fib", "busy.<locals>.<lambda>"}},
        **{"busy.<locals>.<lambda>": {"busy"}, "busy": {"main"}, "main": {"<module>"}},
    }
    odd = 0
    for stack in stacks:
        assert stack.source == TICK
        names = [frame[0] for frame in stack.frames]
        names = names[names.index(next(name for name in names if name in callers)) :]
        odd += any(above not in callers[name] for name, above in pairwise(names))
        odd += names[-1] != "<module>" or stack.status != 0
    assert odd == 0


@pytest.mark.parametrize("told_of_it", [True, False])
@each_python
def test_forked_processes(program, workload, python, told_of_it):
    """A child has its parent's memory: its code objects are named before it ever is looked at."""
    with recorded(program, workload, "call") as recorder:
        ((child, _),) = workload.run("fork")
        if told_of_it:
            recorder.processes.fork(workload.pid, child)
        recorder.select(child)
        told = workload.run("release")
        stacks = recorder.drain()
    assert [stack.frames for stack in stacks] == [frames for _, frames in told]
    assert {stack.pid for stack in stacks} == {child}
    assert len(stacks) == 1


def test_pythons_without_support_have_no_frames(program, workload_of_any):
    with recorded(program, workload_of_any, "call") as recorder:
        recorder.processes.forget(workload_of_any.pid)
        workload_of_any.run("plain")
        (stack,) = recorder.drain()
    assert stack.frames == []
    assert stack.status == 0
