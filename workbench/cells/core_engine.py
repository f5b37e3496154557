"""Cells in CO-RE C: compiled by clang, loaded by libbpf."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cache_home import cache_home, is_private
from workbench.cells.core_text import HEADER, buffer_names, sent_types, wrapped
from workbench.cells.engine import Outlet
from workbench.errors import AttachError, LoadError, ObjectFormatError, UnsupportedKernelError
from workbench.probe import perf_event
from workbench.probe.bcc.messages import compiler_errors
from workbench.probe.bcc.text import COUNTERS
from workbench.probe.bcc.tree import BTF, dumped
from workbench.probe.column_type_btf import by_name
from workbench.probe.map_access import PERF_EVENT_ARRAY, RINGBUF
from workbench.probe.objects import Object
from workbench.probe.open_map import OpenMap
from workbench.probe.program_info import missed_runs
from workbench.probe.typed_map import TypedMap, of_object

if TYPE_CHECKING:
    from workbench.cells.engine import Source
    from workbench.probe.column_type import ColumnType

_ARCH = {"x86_64": "x86", "aarch64": "arm64"}


class CoreEngine:
    """A program that clang compiled; see :class:`workbench.cells.engine.Engine`.

    Raises
    ------
    LoadError, AttachError, UnsupportedKernelError, NotPermittedError
        Nothing is left loaded.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._numbers = {name: i for i, name in enumerate(buffer_names(source.text), 1)}
        with tempfile.TemporaryDirectory(prefix="workbench-cell-") as folder:
            path = compiled(source, Path(folder))
            try:
                self._object = Object(path)
            except ObjectFormatError as error:
                raise LoadError("The program is no BPF object.", why=error.why) from error
        self.tables: dict[str, TypedMap] = {}
        self.outlets: dict[str, Outlet] = {}
        self._counters: TypedMap | None = None
        try:
            self._check_places()
            self._object.load()
            self._find_maps()
        except BaseException:
            self.close()
            raise

    def _find_maps(self) -> None:
        sent = {**sent_types(self._source.text), **self._source.events}
        for name, each in self._object.maps.items():
            if name.startswith("."):
                continue  # global variables
            found = of_object(self._object.btf, each)
            if name == COUNTERS:
                self._counters = found
            elif each.type in (RINGBUF, PERF_EVENT_ARRAY):
                raw = OpenMap.of(each.fd, name)
                self.outlets[name] = Outlet(raw, self._event(sent.get(name, "")))
            else:
                self.tables[name] = found

    def _event(self, name: str) -> ColumnType | None:
        if not name:
            return None
        return by_name(self._object.btf, name.removeprefix("struct "))

    def _check_places(self) -> None:
        unknown = set(self._source.attach).difference(self._object.programs)
        if unknown:
            listed = ", ".join(self._object.programs) or "none"
            raise AttachError(f"There is no program {min(unknown)}.", why=f"there are {listed}")
        for name, program in self._object.programs.items():
            if program.section == "perf_event" and name not in self._source.attach:
                raise AttachError(
                    f"Program {name} has no event and rate.",
                    advice=f"Give them: attach={{{name!r}: 'perf:cpu-clock:99'}}.",
                )

    def attach(self) -> None:
        """Attach each program to what its section says, or to declared perf events."""
        for name, program in self._object.programs.items():
            places = self._source.attach.get(name)
            if places is None:
                self._object.attach(program)
            for place in places or ():
                event, rate = _perf_place(place)
                for cpu in perf_event.online_cpus():
                    fd = perf_event.open_event(event, cpu, rate)
                    self._object.attach_perf_event(program, fd)

    def detach(self) -> None:
        """Detach all; maps stay."""
        self._object.detach()

    def losses(self, outlet: str) -> tuple[int, int] | None:
        """Return events given to a buffer, and those that it did not take."""
        if self._counters is None or outlet not in self._numbers:
            return None
        counts = self._counters[self._numbers[outlet]]
        return sum(c["produced"] for c in counts), sum(c["dropped"] for c in counts)

    def missed(self) -> dict[str, int]:
        """Return how many runs of its functions the kernel left out, where it did."""
        runs = {name: missed_runs(each.fd) for name, each in self._object.programs.items()}
        return {name: count for name, count in runs.items() if count}

    def close(self) -> None:
        """Unload all. Safe to call twice."""
        self._counters = None
        self._object.close()


def _perf_place(place: str) -> tuple[str, int]:
    found = re.fullmatch(r"perf:([\w-]+):([1-9]\d*)", place)
    if found is None or found[1] not in perf_event.EVENTS:
        raise AttachError(
            f"{place!r} is no place for a CO-RE program.",
            why='its section says where it goes, SEC("tp_btf/..."); only perf events have a rate',
            advice="For those: perf:cpu-clock:99.",
        )
    return found[1], int(found[2])


def compiled(source: Source, folder: Path) -> Path:
    """Compile a program; return the object.

    Parameters
    ----------
    source : Source
    folder : pathlib.Path
        Where it is written.

    Raises
    ------
    LoadError
        It does not compile; with the compiler's messages.
    UnsupportedKernelError
        There is no clang.
    """
    text, output = folder / "cell.bpf.c", folder / "cell.bpf.o"
    program, header = wrapped(source.text, buffer_names(source.text))
    text.write_text(program)
    (folder / HEADER).write_text(header)
    machine = platform.machine()
    command = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wno-unused"]
    command += ["-Wno-missing-declarations", "-Wno-compare-distinct-pointer-types"]
    command += ["-Werror=implicit-function-declaration"]
    command += [f"-D__TARGET_ARCH_{_ARCH.get(machine, machine)}"]
    command += [f"-D{name}={_macro(value)}" for name, value in source.defines.items()]
    if '"vmlinux.h"' in source.text or "<vmlinux.h>" in source.text:
        command += ["-I", str(vmlinux(cache_home() / "workbench" / "core"))]
    command += ["-idirafter", f"/usr/include/{machine}-linux-gnu", *source.cflags]
    command += ["-c", text.name, "-o", output.name]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnsupportedKernelError(
            "CO-RE programs are compiled by clang.",
            why=str(error),
            advice="Install it: apt-get install clang libbpf-dev; or write the cell in BCC's C.",
        ) from error
    if done.returncode:
        why = compiler_errors(done.stderr, file=text.name)
        raise LoadError("The C text does not compile.", why=why, log=done.stderr)
    return output


def _macro(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def vmlinux(directory: Path, source: Path = BTF) -> Path:
    """Return a folder with ``vmlinux.h``, the kernel's types, for ``#include "vmlinux.h"``.

    Parameters
    ----------
    directory : pathlib.Path
        Where they are kept, one for each kernel.
    source : pathlib.Path
        The kernel's BTF.

    Raises
    ------
    UnsupportedKernelError
        The kernel has no BTF, or there is no bpftool.
    """
    try:
        key = hashlib.blake2b(source.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise UnsupportedKernelError(
            "This kernel has no BTF, which CO-RE needs.", why=str(error)
        ) from error
    if not is_private(directory):
        directory = Path(tempfile.mkdtemp(prefix="workbench-core-"))
    place = directory / key
    if not (place / "vmlinux.h").exists():
        place.mkdir(exist_ok=True)
        part = place / f"{os.getpid()}.part"
        part.write_text(dumped(source))
        part.replace(place / "vmlinux.h")
    return place
