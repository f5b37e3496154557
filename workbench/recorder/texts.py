"""Numbers of the kernel as texts: columns whose typedef is a dictionary made while recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probe.layout import event_layout
from workbench.recorder.paths import MINOR_BITS, PATHS, PathTable, dictionary

if TYPE_CHECKING:
    from workbench.batch import Encoder
    from workbench.probe.objects import Object


class DeviceNames:
    """Names of block devices by their number, looked up in sysfs when first met.

    Parameters
    ----------
    sysfs : Path
        Where the kernel lists block devices by number.
    """

    def __init__(self, sysfs: Path = Path("/sys/dev/block")) -> None:
        self._sysfs = sysfs
        self._names: dict[int, str] = {}

    def name(self, number: int) -> str:
        """Return the name, such as ``sda``, or ``major:minor`` of a device that is gone."""
        if number not in self._names:
            text = f"{number >> MINOR_BITS}:{number & ((1 << MINOR_BITS) - 1)}"
            try:
                self._names[number] = (self._sysfs / text).resolve(strict=True).name
            except OSError:
                self._names[number] = text
        return self._names[number]

    def encode(self, numbers: Any) -> Any:
        """Return an array of device numbers as a dictionary array of names."""
        return dictionary(numbers, [self.name(int(number)) for number in np.unique(numbers)])


def encoders(source: Object) -> dict[str, Encoder]:
    """Return what makes texts of the numbers of an object's events, by typedef."""
    found: dict[str, Encoder] = {"wb_device": DeviceNames().encode}
    if PATHS in source.maps:
        layout = event_layout(source.btf, "wb_path_text")
        found["wb_path"] = PathTable(source.maps[PATHS], layout).encode
    return found
