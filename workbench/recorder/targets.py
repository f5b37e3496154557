"""The target of a capture, as the BPF programs filter it."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import TargetError
from workbench.recorder import procfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.probe.maps import Map
    from workbench.recorder.source import Source
    from workbench.recorder.spec import Target

ACTIVE, HELD = (n.to_bytes(4, "little") for n in (1, 2))  # enum wb_target_state
SHARED = ("wb_targets", "wb_epoch")
"""Maps of process.bpf.c that all objects of a session use."""
_ID = re.compile(r"[0-9a-f]{12,64}")
"""A container's id, or the start of it that its runtime shows."""
_CONTAINER = re.compile(r"(?:(?!.*conmon)[a-z-]+-)?([0-9a-f]{64})(?:\.scope)?")
"""Cgroup of a container: ``docker-ID.scope``, ``cri-containerd-ID.scope``, ``crio-ID.scope`` or
``libpod-ID.scope`` where systemd makes it, else ``ID``. Those of ``conmon`` hold its monitor."""


def filter_values(target: Target) -> dict[str, Any]:
    """Values of the filter's ``const volatile`` parameters."""
    return {
        "wb_by_tree": int(target.pid is not None),
        "wb_by_cgroup": int(target.cgroup is not None),
        "wb_by_comm": int(target.comm is not None),
        "wb_comm": (target.comm or "").encode(),
        "wb_follow": int(target.follow),
        "wb_self": os.getpid(),
    }


@contextmanager
def watched(target: Target) -> Iterator[int]:
    """Give a descriptor that becomes readable when the target process ends, or -1.

    Raises
    ------
    TargetError
        There is no such process.
    """
    if target.pid is None:
        yield -1
        return
    try:
        fd = os.pidfd_open(target.pid)
    except (OSError, OverflowError) as error:
        raise TargetError(
            f"There is no process {target.pid}.",
            why=str(error),
            advice="`ps -e` lists the processes; a thread's id is not accepted, its process's is.",
        ) from error
    try:
        yield fd
    finally:
        os.close(fd)


def add_processes(target: Target, targets: Map) -> list[int]:
    """Put the target's processes into the map; return those that exist already.

    The fork hook is attached by now: a child that is born while /proc is read here is either
    found here or added by the hook, as its parent is in the map before /proc is read.
    """
    if target.pid is None:
        return []
    targets.update(target.pid.to_bytes(4, "little"), HELD if target.held else ACTIVE)
    found = [target.pid]
    if target.follow and not target.held:
        while new := [p for p in procfs.descendants(target.pid) if p not in found]:
            for pid in new:
                targets.update(pid.to_bytes(4, "little"), ACTIVE)
            found.extend(new)
    return found


def set_cgroup(target: Target, sources: list[Source]) -> None:
    """Put the target's cgroup into each object's map.

    Raises
    ------
    TargetError
    """
    if target.cgroup is None:
        return
    directory = cgroup_directory(target.cgroup)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for source in sources:
            if "wb_cgroup" in source.object.maps:
                source.object.maps["wb_cgroup"].update(b"\0" * 4, fd.to_bytes(4, "little"))
    except Exception as error:
        raise TargetError(
            f"{directory} cannot be used as a cgroup.",
            why=str(error),
            advice="Give a directory of the cgroup v2 hierarchy.",
        ) from error
    finally:
        os.close(fd)


def cgroup_directory(name: str) -> Path:
    """Directory of a cgroup.

    Parameters
    ----------
    name : str
        Its path in the file system or in the hierarchy; or the id of a container, whole or its
        first 12 digits or more.

    Raises
    ------
    TargetError
        There is none, or the id is the begin of several.
    """
    mounts = [
        Path(fields[1])
        for fields in (line.split() for line in Path("/proc/mounts").read_text().splitlines())
        if len(fields) > 2 and fields[2] == "cgroup2"
    ]
    for candidate in (Path(name), *(mount / name.lstrip("/") for mount in mounts)):
        if candidate.is_dir() and any(candidate.is_relative_to(mount) for mount in mounts):
            return candidate
    if _ID.fullmatch(name) and (found := _containers(name, mounts)):
        if len(found) > 1:
            raise TargetError(
                f"There are {len(found)} containers whose id begins with {name}.",
                advice="Give more digits of it.",
            )
        return found[0]
    raise TargetError(
        f"There is no cgroup {name}.",
        why=f"cgroup v2 is mounted at {', '.join(map(str, mounts)) or 'no place'}.",
        advice="`systemd-cgls` lists the cgroups.",
    )


def _containers(start: str, mounts: list[Path]) -> list[Path]:
    """Cgroups of the containers whose id begins so, one for each."""
    found: dict[str, Path] = {}
    for mount in mounts:
        for above, names, _ in os.walk(mount):
            for name in names:
                container = _CONTAINER.fullmatch(name)
                if container and container[1].startswith(start):
                    found.setdefault(container[1], Path(above, name))
    return list(found.values())
