"""Settings of the kind memory."""

import pytest

from workbench.errors import ParameterError
from workbench.kinds import find
from workbench.kinds.memory import PARTS, waits
from workbench.syscalls_table import number_of

KIND = find("memory")


def settings(machine="x86_64", **given):
    return KIND.settings(KIND.check(given), machine)


def test_defaults():
    made = settings()
    assert made["sample_bytes"] == 1 << 19
    assert KIND.check({})["preload"] is True
    assert KIND.preloads
    assert (made["user_stacks"], made["kernel_stacks"]) == (1, 0)
    assert made["waits"].tolist() == waits().tolist()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_system_calls_of_the_machine(machine):
    numbers = number_of(machine)
    made = settings(machine)
    assert [made[f"nr_{name}"] for name in ("mmap", "munmap", "brk")] == [
        numbers["mmap"], numbers["munmap"], numbers["brk"],
    ]  # fmt: skip


@pytest.mark.parametrize("parts", [(), ("heap", "stack"), ("x",)])
def test_parts_that_there_are_not(parts):
    with pytest.raises(ParameterError, match=", ".join(PARTS)):
        settings(parts=parts)
