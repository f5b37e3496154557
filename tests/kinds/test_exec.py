"""The settings of the process kind, and its enum as the schema names it."""

import pytest

from workbench.elf import Elf
from workbench.event_texts import EXEC_EVENTS
from workbench.kinds import find
from workbench.probe.btf import Btf
from workbench.syscalls_table import number_of

EXEC = find("exec")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_numbers_of_the_calls(machine):
    settings, numbers = EXEC.settings(EXEC.check({}), machine), number_of(machine)
    assert settings == {"nr_execve": numbers["execve"], "nr_execveat": numbers["execveat"]}


def test_texts_are_those_of_the_program():
    with Elf.open(EXEC.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum("wb_exec_event")
    names = {value: name.removeprefix("WB_EXEC_").lower() for name, value in values.items()}
    assert names == dict(enumerate(EXEC_EVENTS))
