"""Events of own probes with stacks: the columns."""

import pytest

from workbench.kinds import own_probe
from workbench.recorder import targets
from workbench.recorder.probe_sources import source_for
from workbench.recorder.probe_stacks import OwnProbeStacks
from workbench.recorder.source import RING, KindSetup, Setup
from workbench.recorder.spec import Target


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_columns_of_the_probe_and_of_its_stack():
    target = Target(pid=1)
    setup = Setup(targets.filter_values(target), RING, 0, target=target)
    given = {"probe": "uprobe:libc:malloc", "fields": ("size=arg0", "str(arg1)"), "stacks": True}
    parameters = own_probe("mine").check(given)
    source = source_for(KindSetup(own_probe("mine"), setup, parameters, {}, 1 << 16))
    try:
        assert isinstance(source, OwnProbeStacks)
        names = source.schema.names
        assert {"ts", "pid", "tid", "cpu", "size", "arg1", "stack_status", "stack_id"} <= set(names)
        assert not [name for name in names if name.endswith("_depth")]
        assert source.schema.field("arg1").nullable
        assert not source.schema.field("size").nullable
        assert source.layout.tail[0] == "words"
    finally:
        source.close()
