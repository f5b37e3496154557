"""Programs compiled and loaded by libbcc in a process of its own; see :mod:`.compile_child`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import LoadError
from workbench.probe.bcc.handover import receive, send

_CHILD = "workbench.probe.bcc.compile_child"


@dataclass(frozen=True)
class Table:
    """A table of a compiled program.

    Parameters
    ----------
    name : str
    fd : int
        A descriptor of it, the receiver's to close.
    key, value : str
        As BCC describes their types; see :mod:`workbench.probe.bcc.describe`.
    sent : list of str
        Members of the struct that BCC saw being sent to it, if it is a perf or ring buffer.
    """

    name: str
    fd: int
    key: str
    value: str
    sent: list[str]


@dataclass(frozen=True)
class Compiled:
    """What a program has: functions by name, and tables in the order of their declaration."""

    functions: list[str]
    tables: list[Table]


class Compiler:
    """A process that compiles one program, and then loads its functions.

    It starts while its user goes on; :meth:`close` ends it. What it has handed over stays: the
    descriptors are this process's own.

    Attributes
    ----------
    printed : str
        What libbcc, LLVM and the verifier printed about the last request.
    """

    def __init__(self) -> None:
        self.printed = ""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._channel, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", _CHILD, str(number), str(os.getpid())],
                    pass_fds=[number],
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    start_new_session=True,  # Ctrl-C comes here, and close() follows
                )
            except BaseException:
                self._channel.close()
                self._output.close()
                raise
        self._ready = False

    def compile(self, text: str, flags: Sequence[str], headers: str) -> Compiled | None:
        """Compile a program; return what it has, or None if it does not compile.

        Parameters
        ----------
        text : str
        flags : sequence of str
            For the compiler.
        headers : str
            Where kernel headers are; "" where they are installed: libbcc finds them itself.

        Raises
        ------
        LoadError
            The process cannot be started.
        """
        answer = self._ask("compile", text=text, flags=list(flags), headers=headers)
        if answer is None or "failed" in answer[0]:
            return None
        found, descriptors = answer
        tables = [Table(fd=fd, **t) for t, fd in zip(found["tables"], descriptors, strict=True)]
        return Compiled(found["functions"], tables)

    def load(self, function: str, kind: int) -> tuple[int, int]:
        """Load a function; return its descriptor, or -1, and errno.

        Parameters
        ----------
        function : str
        kind : int
            ``enum bpf_prog_type``.
        """
        answer = self._ask("load", function=function, kind=kind)
        if answer is None:
            return -1, 0
        found, descriptors = answer
        return (-1, found["errno"]) if "failed" in found else (descriptors[0], 0)

    def rewrite(self, text: str, flags: Sequence[str]) -> str:
        """Return what BCC prints of a program that compiled: it as BCC rewrote it."""
        self._ask("rewrite", text=text, flags=list(flags))
        return self.printed

    def _ask(self, wanted: str, **request: Any) -> tuple[dict[str, Any], list[int]] | None:
        """Return the answer and its descriptors, or None if the process has ended."""
        at = os.fstat(self._output.fileno()).st_size if self._ready else 0
        try:
            if not self._ready:
                receive(self._channel)
                self._ready = True
            send(self._channel, {"do": wanted, **request})
            return receive(self._channel)
        except (EOFError, ConnectionError) as error:
            code = self._process.wait()
            if not self._ready:
                raise LoadError(
                    "The process that compiles BCC programs does not start.",
                    why=self._printed(0).strip()[-500:] or f"it ended with {code}",
                ) from error
            return None
        finally:
            self.printed = self._printed(at)

    def _printed(self, at: int) -> str:
        size = os.fstat(self._output.fileno()).st_size - at
        return os.pread(self._output.fileno(), size, at).decode("utf-8", "replace")

    @property
    def ended_by(self) -> int:
        """The signal that ended the process, or 0."""
        return max(0, -(self._process.poll() or 0))

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        self._output.close()
