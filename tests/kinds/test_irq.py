"""The settings of the interrupt kind, and its enum as the schema names it."""

import pytest

from workbench.elf import Elf
from workbench.errors import ParameterError
from workbench.event_texts import IRQ_TYPES
from workbench.kinds import find
from workbench.probe.btf import Btf

IRQ = find("irq")


def test_settings():
    assert IRQ.settings(IRQ.check({"min_us": 5}), "x86_64") == {"aggregate": 0, "min_ns": 5000}
    with pytest.raises(ParameterError, match="hold all interrupts"):
        IRQ.settings(IRQ.check({"min_us": 5, "aggregate": True}), "x86_64")
    assert IRQ.table(IRQ.check({"aggregate": True})) == "irq_agg"


def test_only_vectors_of_x86_may_be_missing():
    assert "local_timer_entry" in IRQ.optional
    assert not [name for name in IRQ.optional if name.startswith(("irq_handler", "softirq"))]


def test_texts_are_those_of_the_program():
    with Elf.open(IRQ.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum("wb_irq_type")
    names = {value: name.removeprefix("WB_IRQ_").lower() for name, value in values.items()}
    assert names == dict(enumerate(IRQ_TYPES))
