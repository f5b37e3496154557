"""Maps by descriptor or by the kernel's number: what BCC made, what a running recorder holds."""

from __future__ import annotations

import ctypes as c
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import MapError
from workbench.probe.clib import U, errno_text, last_errno, lib, not_permitted
from workbench.probe.map_access import MapAccess

if TYPE_CHECKING:
    from typing import Self


class _Info(c.Structure):
    """``struct bpf_map_info``, include/uapi/linux/bpf.h, as of Linux 4.18."""

    _fields_ = (
        ("type", c.c_uint32),
        ("id", c.c_uint32),
        ("key_size", c.c_uint32),
        ("value_size", c.c_uint32),
        ("max_entries", c.c_uint32),
        ("map_flags", c.c_uint32),
        ("name", c.c_char * 16),
        ("ifindex", c.c_uint32),
        ("btf_vmlinux_value_type_id", c.c_uint32),
        ("netns_dev", c.c_uint64),
        ("netns_ino", c.c_uint64),
        ("btf_id", c.c_uint32),
        ("btf_key_type_id", c.c_uint32),
        ("btf_value_type_id", c.c_uint32),
    )


@dataclass(frozen=True)
class OpenMap(MapAccess):
    """A loaded map.

    Parameters
    ----------
    fd : int
        Its descriptor; closed by :meth:`close`.
    id : int
        The kernel's number of it.
    name : str
        The kernel keeps 15 characters.
    type, key_size, value_size, max_entries : int
        See :class:`workbench.probe.map_access.MapAccess`.
    btf_id, key_type, value_type : int
        The BTF that the kernel holds for it, and the types in it; 0 where there are none.
    """

    fd: int
    id: int
    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    btf_id: int = 0
    key_type: int = 0
    value_type: int = 0

    @classmethod
    def of(cls, fd: int, name: str = "") -> Self:
        """Return the map behind a descriptor.

        Parameters
        ----------
        fd : int
        name : str
            A longer name than the kernel's.

        Raises
        ------
        MapError
            The descriptor is not one of a map.
        """
        info = _Info()
        size = U(c.sizeof(info))
        # A program's information would be taken for a map's: the kernel tells them apart in fdinfo.
        if not is_map(fd) or lib().bpf_obj_get_info_by_fd(fd, c.byref(info), c.byref(size)):
            raise MapError(f"Descriptor {fd} is not one of a BPF map.")
        return cls(
            fd,
            info.id,
            name or info.name.decode("utf-8", "replace"),
            info.type,
            info.key_size,
            info.value_size,
            info.max_entries,
            info.btf_id,
            info.btf_key_type_id,
            info.btf_value_type_id,
        )

    @classmethod
    def by_id(cls, number: int) -> Self:
        """Open a map of this machine by its number.

        Raises
        ------
        MapError
            There is no such map (any more).
        NotPermittedError
            It takes CAP_SYS_ADMIN.
        """
        fd = int(lib().bpf_map_get_fd_by_id(number))
        if fd >= 0:
            return cls.of(fd)
        what = f"There is no way to map {number}."
        if last_errno() == errno.EPERM:
            raise not_permitted(what, errno.EPERM)
        raise MapError(what, why=errno_text(last_errno()), advice="`workbench maps` lists maps.")

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        *error: object,
    ) -> None:
        self.close()


def is_map(fd: int) -> bool:
    """Whether a descriptor of this process is one of a map."""
    try:
        return bool(_map_ids(Path(f"/proc/self/fdinfo/{fd}").read_text()))
    except OSError:
        return False


def held_by(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """Return the numbers of the maps that a process holds, as its descriptors tell (Linux 5.8).

    Parameters
    ----------
    pid : int
    proc : pathlib.Path
        Where procfs is mounted.
    """
    found: set[int] = set()
    try:
        for entry in os.listdir(proc / str(pid) / "fdinfo"):
            try:
                found.update(_map_ids((proc / str(pid) / "fdinfo" / entry).read_text()))
            except OSError:  # closed meanwhile
                continue
    except OSError:  # it has ended, or belongs to somebody else
        return []
    return sorted(found)


def _map_ids(fdinfo: str) -> list[int]:
    return [int(number) for number in re.findall(r"^map_id:\t(\d+)$", fdinfo, re.MULTILINE)]
