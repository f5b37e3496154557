"""The off-CPU kind's settings, and its enums as the schema names them."""

import pytest

from workbench.elf import Elf
from workbench.errors import ParameterError
from workbench.event_texts import TEXTS
from workbench.kinds import find
from workbench.probe.btf import Btf

OFFCPU = find("offcpu")


def test_settings():
    settings = OFFCPU.settings(OFFCPU.check({"min_us": 5, "waker_stacks": True}), "aarch64")
    assert settings == {
        "kernel_stacks": 1,
        "user_stacks": 1,
        "python_stacks": 1,
        "waker_stacks": 1,
        "min_ns": 5000,
    }
    assert OFFCPU.settings(OFFCPU.check({}), "x86_64")["waker_stacks"] == 0


@pytest.mark.parametrize("least", [-1, 1.5, "1", 10**9 + 1])
def test_durations_that_make_no_sense(least):
    with pytest.raises(ParameterError, match="min_us"):
        OFFCPU.check({"min_us": least})


@pytest.mark.parametrize(
    ("enum", "prefix", "typedef"),
    [
        ("wb_off_state", "WB_OFF_", "wb_off_state"),
        ("wb_waker_context", "WB_WAKER_", "wb_waker_context"),
        ("wb_stack_status", "WB_STACK_", "wb_stack_status"),
    ],
)
def test_texts_are_those_of_the_program(enum, prefix, typedef):
    with Elf.open(OFFCPU.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(enum)
    names = {value: name.removeprefix(prefix).lower() for name, value in values.items()}
    assert names == dict(enumerate(TEXTS[typedef]))
