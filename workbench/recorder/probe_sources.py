"""Which source one of the user's own probes has, by what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.recorder.probe_source import OwnProbe

if TYPE_CHECKING:
    from workbench.recorder.source import KindSetup
    from workbench.recorder.tables import EventSource


def source_for(wanted: KindSetup) -> EventSource:
    """Return the source of a probe: of its events, with stacks or without, or of its groups."""
    made, parameters = OwnProbe, wanted.parameters
    if parameters["aggregate"] or parameters["by"]:
        from workbench.recorder.probe_groups import OwnProbeGroups

        made = OwnProbeGroups
    elif parameters["stacks"]:  # symbolizing takes imports that others start faster without
        from workbench.recorder.probe_stacks import OwnProbeStacks

        made = OwnProbeStacks
    return made(wanted)
