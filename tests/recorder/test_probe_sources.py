"""Which source an own probe has."""

import pytest

from workbench.kinds import own_probe
from workbench.recorder import targets
from workbench.recorder.probe_groups import OwnProbeGroups
from workbench.recorder.probe_source import OwnProbe
from workbench.recorder.probe_sources import source_for
from workbench.recorder.probe_stacks import OwnProbeStacks
from workbench.recorder.source import RING, KindSetup, Setup
from workbench.recorder.spec import Target


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("asked", "source"),
    [
        ({}, OwnProbe),
        ({"stacks": True}, OwnProbeStacks),
        ({"by": ("comm",)}, OwnProbeGroups),
        ({"aggregate": ("max(pid)",)}, OwnProbeGroups),
    ],
)
def test_by_what_is_asked_for(asked, source):
    target = Target(pid=1)
    setup = Setup(targets.filter_values(target), RING, 0, target=target)
    parameters = own_probe("mine").check({"probe": "rawtp:sched_switch", **asked})
    made = source_for(KindSetup(own_probe("mine"), setup, parameters, {}, 1 << 16))
    try:
        assert type(made) is source
    finally:
        made.close()
