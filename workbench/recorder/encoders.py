"""What makes texts of the numbers of an object's events, by the typedef of the column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.probe.layout import event_layout
from workbench.recorder.paths import PATHS, PathTable
from workbench.recorder.texts import DeviceNames

if TYPE_CHECKING:
    from workbench.batch import Encoder
    from workbench.probe.objects import Object


def encoders(source: Object) -> dict[str, Encoder]:
    """Return what makes texts of the numbers of an object's events, by typedef."""
    found: dict[str, Encoder] = {"wb_device": DeviceNames().encode}
    if PATHS in source.maps:
        layout = event_layout(source.btf, "wb_path_text")
        found["wb_path"] = PathTable(source.maps[PATHS], layout).encode
    return found
