"""The settings of the scheduling kind, and its enum as the schema names it."""

import pytest

from workbench.elf import Elf
from workbench.errors import ParameterError
from workbench.event_texts import TEXTS
from workbench.kinds import find
from workbench.probe.btf import Btf

SCHED = find("sched")


def test_settings():
    assert SCHED.settings(SCHED.check({"min_us": 5}), "x86_64") == {"aggregate": 0, "min_ns": 5000}
    assert SCHED.table(SCHED.check({"aggregate": True})) == "sched_agg"
    assert SCHED.table(SCHED.check({})) == "sched"


def test_counts_leave_nothing_out():
    with pytest.raises(ParameterError, match="hold all runs"):
        SCHED.settings(SCHED.check({"min_us": 5, "aggregate": True}), "x86_64")


@pytest.mark.parametrize("enum", ["run_cause", "off_state", "waker_context"])
def test_texts_are_those_of_the_program(enum):
    with Elf.open(SCHED.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(f"wb_{enum}")
    prefix = {"run_cause": "WB_RUN_", "off_state": "WB_OFF_", "waker_context": "WB_WAKER_"}[enum]
    names = {value: name.removeprefix(prefix).lower() for name, value in values.items()}
    assert names == dict(enumerate(TEXTS[f"wb_{enum}"]))
