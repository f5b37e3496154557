"""The settings of the system call kind: sets of numbers, for both architectures."""

import numpy as np
import pytest

from workbench.errors import ParameterError
from workbench.kinds import find
from workbench.syscalls_table import arguments_of, number_of

SYSCALLS = find("syscalls")
MACHINES = ["x86_64", "aarch64"]


def settings(machine="x86_64", **parameters):
    return SYSCALLS.settings(SYSCALLS.check(parameters), machine)


def chosen(made):
    """Numbers that the object's test would let through."""
    words = made["syscall_set"]
    assert (words.dtype, len(words)) == (np.dtype("<u8"), 8)
    return {nr for nr in range(512) if int(words[nr >> 6]) >> (nr & 63) & 1}


def test_all_calls_unless_some_are_named():
    made = settings()
    assert (made["by_syscall"], made["aggregate"], chosen(made)) == (0, 0, set())


@pytest.mark.parametrize("machine", MACHINES)
def test_a_set_of_calls(machine):
    numbers = number_of(machine)
    made = settings(machine, syscalls=["read", "openat", "exit_group"], aggregate=True)
    assert (made["by_syscall"], made["aggregate"]) == (1, 1)
    assert chosen(made) == {numbers[n] for n in ("read", "openat", "exit_group")}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_can_be_chosen(machine):
    numbers = number_of(machine)
    assert chosen(settings(machine, syscalls=list(numbers))) == set(numbers.values())


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_that_never_return_and_numbers_of_arguments(machine):
    made, numbers = settings(machine), number_of(machine)
    assert (made["nr_exit"], made["nr_exit_group"]) == (numbers["exit"], numbers["exit_group"])
    assert made["arity"] == [len(names) for names in arguments_of(machine)]
    assert made["arity"][numbers["openat"]] == 4
    assert made["arity"][numbers["getpid"]] == 0
    assert len(made["arity"]) <= 512
    assert max(made["arity"]) <= 6


def test_calls_of_another_architecture_are_refused():
    settings("x86_64", syscalls="open")
    with pytest.raises(ParameterError, match="no system call open on aarch64"):
        settings("aarch64", syscalls="open")
    with pytest.raises(ParameterError, match="no system call sys_read, Read"):
        settings(syscalls=["read", "sys_read", "Read"])


def test_aggregation_goes_to_a_table_of_its_own():
    assert SYSCALLS.table(SYSCALLS.check({"aggregate": True})) == "syscalls_agg"
    assert SYSCALLS.table(SYSCALLS.check({})) == "syscalls"


def test_stacks_are_an_object_of_their_own():
    plain, stacks = ({"stacks": on, "aggregate": False} for on in (False, True))
    assert SYSCALLS.object_for(plain).name == "syscalls.bpf.o"
    assert SYSCALLS.object_for(stacks).name == "syscalls_stacks.bpf.o"
    assert SYSCALLS.object_for(stacks).is_file()
    assert [SYSCALLS.with_stacks(given) for given in (plain, stacks)] == [False, True]
