"""Numbers of paths as texts: each is told once by the program, in a map, and kept here.

The texts are what ``bpf/path.bpf.h`` puts together: names from the file upwards.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probe.maps import rows
from workbench.recorder.device_names import MINOR_BITS, DeviceNames, dictionary

if TYPE_CHECKING:
    from workbench.probe.layout import Layout
    from workbench.probe.maps import Map

PATHS = "wb_paths"
"""The map in which programs hand texts over."""

NONE, UNKNOWN = 0, 0xFFFFFFFF  # WB_PATH_NONE, WB_PATH_UNKNOWN
UNKNOWN_TEXT = "[unknown]"
MOUNTED, INSIDE, PSEUDO, GIVEN = range(4)  # enum wb_path_form
_KERNEL_NAMES = {"pipefs": "pipe:[{ino}]", "sockfs": "socket:[{ino}]"}
"""As the kernel shows them in /proc/PID/fd (pipefs_dname, sockfs_dname)."""


class PathTable:
    """Texts of the paths that an object's program has told.

    Parameters
    ----------
    handed : Map
        ``wb_paths``: texts are taken out of it.
    layout : Layout
        Of its values, ``struct wb_path_text``.
    mountinfo : Path
        The recorder's mounts: for files whose mount the program did not know.
    """

    def __init__(
        self, handed: Map, layout: Layout, mountinfo: Path = Path("/proc/self/mountinfo")
    ) -> None:
        self._handed = handed
        self._layout = layout
        self._mountinfo = mountinfo
        self._texts = {NONE: "", UNKNOWN: UNKNOWN_TEXT}
        self._mounts: dict[int, str] = {}
        self._devices = DeviceNames()
        self._lock = Lock()  # stacks are named, and their batches made, by another thread
        self._open = True

    def text(self, number: int) -> str:
        """Return the path of a number; ``[unknown]`` if the program has not told it."""
        if number not in self._texts:
            value = self._take(number.to_bytes(4, "little"))
            if value is None:
                return UNKNOWN_TEXT
            self._texts[number] = self._compose(value)
        return self._texts[number]

    def encode(self, numbers: Any) -> Any:
        """Return an array of numbers of paths as a dictionary array of texts."""
        if (numbers == UNKNOWN).any():
            self._make_room()
        return dictionary(numbers, self.text)

    def close(self) -> None:
        """Leave the map alone from now on: its object goes. Safe to call twice."""
        with self._lock:
            self._open = False

    def _take(self, key: bytes) -> bytes | None:
        with self._lock:
            value = self._handed.lookup(key) if self._open else None
            if value is not None:
                self._handed.delete(key)
            return value

    def _make_room(self) -> None:
        """Take all texts out, also those whose events were lost: the map is full."""
        with self._lock:
            keys = self._handed.items()[0] if self._open else np.zeros((0, 4), np.uint8)
        for number in keys.copy().view("<u4").ravel().tolist():
            self.text(number)

    def _compose(self, value: bytes) -> str:
        told = rows(np.frombuffer(value, np.uint8)[None], self._layout.dtype)[0]
        assert self._layout.dtype.fields
        start = self._layout.dtype.fields["text"][1]  # numpy would cut NULs off its end
        raw = value[start : start + int(told["size"])]
        names = [part.decode("utf-8", "replace") for part in raw.split(b"\0")[:-1]]
        kind = bytes(told["type"]).split(b"\0")[0].decode("utf-8", "replace")
        if told["form"] == GIVEN:
            return self._given(names[0] if names else "", int(told["base"]))
        if told["form"] == PSEUDO and kind == "bdev":
            return f"/dev/{self._devices.name(int(told['device']))}"
        if told["form"] == PSEUDO:
            return pseudo(names[0] if names else "", kind, int(told["ino"]))
        path = "/" + "/".join(reversed(names))
        if told["cut"]:
            return "..." + path
        return self._mounted(path, int(told["device"])) if told["form"] == INSIDE else path

    def _given(self, name: str, base: int) -> str:
        directory = self.text(base)
        if not directory or not name:
            return name
        return f"{directory.rstrip('/')}/{name.removeprefix('./')}"

    def _mounted(self, path: str, device: int) -> str:
        if device not in self._mounts:
            self._mounts = mount_points(self._mountinfo)
        point = self._mounts.setdefault(device, "")
        return point.rstrip("/") + path if path != "/" else point or path


def pseudo(name: str, kind: str, ino: int) -> str:
    """Return what the kernel calls something that is in no directory.

    Parameters
    ----------
    name : str
        Of its entry.
    kind : str
        Type of its file system.
    ino : int
        Its inode.
    """
    if kind in _KERNEL_NAMES:
        return _KERNEL_NAMES[kind].format(ino=ino)
    if kind == "anon_inodefs":
        return f"anon_inode:{name}"
    return f"/{name}" if name else f"{kind}:[{ino}]"


def mount_points(mountinfo: Path) -> dict[int, str]:
    """Return where the roots of file systems are mounted, by device number.

    Mounts of a part of a file system (bind mounts) are left out; the first one of several counts.
    See proc_pid_mountinfo(5).
    """
    found: dict[int, str] = {}
    for line in mountinfo.read_text().splitlines():
        _, _, device, root, point, *_ = line.split(" ")
        major, _, minor = device.partition(":")
        number = int(major) << MINOR_BITS | int(minor)
        if root == "/":
            text = point.encode().decode("unicode_escape").encode("latin-1")  # \040 is a blank
            found.setdefault(number, text.decode("utf-8", "replace"))
    return found
