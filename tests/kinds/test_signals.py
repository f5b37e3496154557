"""Enums of the signal kind as the schema names them, and its object with stacks."""

import pytest

from workbench.elf import Elf
from workbench.event_texts import TEXTS
from workbench.kinds import find
from workbench.probe.btf import Btf

SIGNALS = find("signals")


@pytest.mark.parametrize(
    ("enum", "prefix"),
    [
        ("wb_signal_event", "WB_SIGNAL_"),
        ("wb_signal_result", "WB_RESULT_"),
        ("wb_signal_action", "WB_ACTION_"),
    ],
)
def test_texts_are_those_of_the_program(enum, prefix):
    with Elf.open(SIGNALS.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(enum)
    names = {value: name.removeprefix(prefix).lower() for name, value in values.items()}
    assert names == dict(enumerate(TEXTS[enum]))


def test_stacks_are_an_object_of_their_own():
    assert SIGNALS.object_for({"stacks": True}).name == "signals_stacks.bpf.o"
    assert SIGNALS.object_for({"stacks": True}).is_file()
