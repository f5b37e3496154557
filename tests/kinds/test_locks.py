"""The settings of the lock kind, its two sources, and its enums as the schema names them."""

import pytest

from workbench.elf import Elf
from workbench.errors import ParameterError
from workbench.event_texts import TEXTS
from workbench.kinds import find
from workbench.probe.btf import Btf
from workbench.recorder.tables import source_class

LOCKS = find("locks")


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 202), ("aarch64", 98)])
def test_settings(machine, number):
    settings = LOCKS.settings(LOCKS.check({"min_us": 3}), machine)
    assert settings == {"nr_futex": number, "min_ns": 3000, "aggregate": 0}


def test_counts_have_no_stacks():
    with pytest.raises(ParameterError, match="no stacks"):
        LOCKS.settings(LOCKS.check({"aggregate": True, "stacks": True}), "x86_64")


def test_sources():
    names = [source_class(LOCKS, LOCKS.check({"stacks": on})).__name__ for on in (False, True)]
    assert names == ["LocksSource", "StackLocksSource"]


@pytest.mark.parametrize(
    ("enum", "prefix"), [("wb_lock_event", "WB_LOCK_"), ("wb_lock_type", "WB_TYPE_")]
)
def test_texts_are_those_of_the_program(enum, prefix):
    with Elf.open(LOCKS.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(enum)
    names = {value: name.removeprefix(prefix).lower() for name, value in values.items()}
    assert names == dict(enumerate(TEXTS[enum]))
