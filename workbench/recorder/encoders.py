"""What makes texts of the numbers of an object's events, by the typedef of the column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.probe.layout import event_layout
from workbench.recorder.device_names import DeviceNames
from workbench.recorder.paths import PATHS, PathTable

if TYPE_CHECKING:
    from workbench.batch import Encoder
    from workbench.probe.objects import Object


class Encoders:
    """The encoders of one object.

    Parameters
    ----------
    source : Object
        Loaded, as maps are read.

    Attributes
    ----------
    by_typedef : dict of str to callable
        Numbers to a pyarrow dictionary array.
    """

    def __init__(self, source: Object) -> None:
        self.by_typedef: dict[str, Encoder] = {"wb_device": DeviceNames().encode}
        self._paths: PathTable | None = None
        if PATHS in source.maps:
            layout = event_layout(source.btf, "wb_path_text")
            self._paths = PathTable(source.maps[PATHS], layout)
            self.by_typedef["wb_path"] = self._paths.encode

    def close(self) -> None:
        """Leave the object's maps alone from now on. Safe to call twice."""
        if self._paths is not None:
            self._paths.close()
