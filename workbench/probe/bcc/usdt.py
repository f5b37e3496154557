"""USDT probes of a program or library, for BCC, which compiles their arguments in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import AttachError
from workbench.probe.bcc.libbcc import UPROBE_CALLBACK, lib
from workbench.probe.bcc.messages import captured


@dataclass(frozen=True)
class Place:
    """Where a USDT probe is: a uprobe at ``address`` of ``path`` runs ``function``."""

    path: bytes
    function: str
    address: int
    pid: int


@dataclass
class Usdt:
    """The probes of one file; close it when the program is compiled and attached.

    Parameters
    ----------
    path : str
        Program or library; "" with ``pid`` for all that the process maps.
    pid : int
        The process, or -1: any.

    Raises
    ------
    AttachError
        There are none.
    """

    path: str
    pid: int = -1
    handle: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.path and not Path(self.path).is_file():
            raise AttachError(f"There is no file {self.path}.", advice="Give its full path.")
        with captured() as messages:
            if self.pid > 0:
                path = self.path.encode() or None
                self.handle = lib().bcc_usdt_new_frompid(self.pid, path) or 0
            else:
                self.handle = lib().bcc_usdt_new_frompath(self.path.encode()) or 0
        if not self.handle:
            raise AttachError(
                f"{self.path or f'Process {self.pid}'} has no USDT probes.",
                why=messages.text.strip(),
                advice="readelf -n FILE lists them.",
            )

    def enable(self, probe: str, function: str) -> None:
        """Let a function run at a probe, ``[PROVIDER:]NAME``.

        Raises
        ------
        AttachError
            There is no such probe.
        """
        provider, _, name = probe.rpartition(":")
        words = [word.encode() for word in (provider, name, function) if word]
        call = "bcc_usdt_enable_fully_specified_probe" if provider else "bcc_usdt_enable_probe"
        with captured() as messages:
            failed = getattr(lib(), call)(self.handle, *words)
        if failed:
            raise AttachError(
                f"{self.path or f'Process {self.pid}'} has no USDT probe {probe}.",
                why=messages.text.strip(),
                advice="readelf -n FILE lists them.",
            )

    def places(self) -> list[Place]:
        """Return where uprobes have to be for what was enabled."""
        found: list[Place] = []

        def add(path: bytes, function: bytes, address: int, pid: int) -> None:
            found.append(Place(path, function.decode(), address, pid))

        lib().bcc_usdt_foreach_uprobe(self.handle, UPROBE_CALLBACK(add))
        return found

    def close(self) -> None:
        """Let go of it. Safe to call twice.

        Its few kilobytes stay: ``bcc_usdt_close`` closes the descriptor of the process's root once
        more (``ProcSyms::ModulePath`` of BCC 0.26), and the number is another file's by then.
        """
        self.handle = 0
