"""The block kind's settings, and its enums as the schema names them."""

import pytest

from workbench.elf import Elf
from workbench.event_texts import TEXTS
from workbench.kinds import find
from workbench.probe.btf import Btf

BLOCK = find("block")


@pytest.mark.parametrize("aggregate", [True, False])
def test_settings(aggregate):
    parameters = BLOCK.check({"aggregate": aggregate})
    assert BLOCK.settings(parameters, "aarch64") == {"aggregate": int(aggregate)}
    assert BLOCK.table(parameters) == ("block_agg" if aggregate else "block")


@pytest.mark.parametrize(
    ("typedef", "prefix"), [("wb_block_op", "WB_BLOCK_"), ("wb_block_cause", "WB_CAUSE_")]
)
def test_texts_are_those_of_the_program(typedef, prefix):
    with Elf.open(BLOCK.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(typedef)
    names = {value: name.removeprefix(prefix).lower() for name, value in values.items()}
    assert names == dict(enumerate(TEXTS[typedef]))
