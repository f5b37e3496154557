"""What `wb.capture` is given: the ways to write one and the same thing, and what is refused."""

import os
from pathlib import Path

import pytest

from workbench.capture_arguments import check_target, kinds_of, with_parameters, words_of
from workbench.errors import ParameterError, TargetError, UnknownKindError


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (None, ()),
        ("", ()),
        ("sh -c 'echo $HOME' ", ("sh", "-c", "echo $HOME")),
        (["sh", "-c", "a b"], ("sh", "-c", "a b")),
        ((Path("/bin/true"), b"x\xff"), ("/bin/true", os.fsdecode(b"x\xff"))),
    ],
)
def test_commands(command, words):
    assert words_of(command) == words


@pytest.mark.parametrize("command", ["sh 'a", 5, ["sleep", 1]])
def test_what_is_no_command(command):
    with pytest.raises(ParameterError, match="is no command"):
        words_of(command)


@pytest.mark.parametrize(
    "given", ["cpu,syscalls", " cpu, syscalls ,", ["cpu", "syscalls"], {"cpu": {}, "syscalls": {}}]
)
def test_ways_to_name_kinds(given):
    assert kinds_of(given) == {"cpu": {}, "syscalls": {}}


def test_parameters_of_one_kind_are_copied():
    given = {"cpu": {"hz": 5}}
    made = kinds_of(given)
    made["cpu"]["hz"] = 7
    assert given == {"cpu": {"hz": 5}}


def test_parameters_go_to_all_that_have_them():
    kinds = with_parameters(kinds_of("cpu,sched,locks"), {"min_us": 3, "hz": 7})
    assert kinds == {"cpu": {"hz": 7}, "sched": {"min_us": 3}, "locks": {"min_us": 3}}
    with pytest.raises(ParameterError, match="None of cpu has a parameter min_us") as caught:
        with_parameters(kinds_of("cpu"), {"min_us": 3})
    assert "hz" in caught.value.why
    with pytest.raises(UnknownKindError):
        with_parameters(kinds_of("nothing"), {"hz": 1})


def check(pid=None, command=None, cgroup=None, comm=None, system_wide=False):
    check_target(pid, command, words_of(command), cgroup, comm, system_wide)


@pytest.mark.parametrize(
    "target",
    [{"pid": 1}, {"command": "true"}, {"comm": "x"}, {"cgroup": "/"}, {"system_wide": True},
     {"pid": 1, "comm": "x"}],
)  # fmt: skip
def test_targets(target):
    check(**target)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ({}, ParameterError),
        ({"pid": 1, "command": "true"}, ParameterError),
        ({"pid": True}, ParameterError),
        ({"pid": 0}, ParameterError),
        ({"command": ""}, TargetError),
    ],
)
def test_what_is_no_target(target, error):
    with pytest.raises(error):
        check(**target)
