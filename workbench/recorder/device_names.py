"""Names of block devices by their numbers; numbers as dictionaries that grow while recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MINOR_BITS = 20
"""Device numbers are major << 20 | minor inside of the kernel (include/linux/kdev_t.h)."""


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
        return dictionary(numbers, self.name)


def dictionary(numbers: Any, text: Callable[[int], str]) -> Any:
    """Return numbers as a dictionary array of texts.

    Parameters
    ----------
    numbers : integer array
    text : callable
        Text of a number; asked once for each distinct one, in their order. Numbers of equal texts
        become one entry.
    """
    import pyarrow as pa

    distinct, codes = np.unique(numbers, return_inverse=True)
    values: dict[str, int] = {}
    texts = (text(number) for number in distinct.tolist())
    merged = np.array([values.setdefault(each, len(values)) for each in texts], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(merged[codes]), pa.array(list(values), pa.string())
    )
