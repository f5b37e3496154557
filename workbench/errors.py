"""Every error that a user of the workbench meets, as one tree.

::

    WorkbenchError
    ├── KernelError                  the kernel side: loading, attaching, maps
    │   ├── NotPermittedError        no capability, lockdown, a sysctl forbids it
    │   ├── UnsupportedKernelError   the kernel lacks BTF, a program or a map type
    │   ├── ObjectFormatError        the .bpf.o file is not one that can be loaded
    │   ├── LoadError                the verifier or the kernel refused a program
    │   ├── AttachError              a loaded program found no place to attach
    │   ├── MapError                 a map is missing or has another size or type
    │   └── BufferFormatError        bytes in a ring or perf buffer make no sense
    ├── CaptureError                 what was asked of a capture
    │   ├── UnknownKindError         no such capture kind
    │   ├── ParameterError           a parameter or filter has no meaning
    │   ├── TargetError              no such process, command, cgroup
    │   └── RecorderError            the recorder died or does not answer
    ├── SessionError                 reading and writing recorded sessions
    │   ├── SessionNotFoundError     nothing there
    │   ├── SessionCorruptError      truncated, damaged or hostile content
    │   ├── SessionVersionError      written by a newer workbench
    │   ├── MissingTableError        the session does not hold that table or column
    │   ├── QueryError               SQL or a selection that cannot be run
    │   └── StorageError             disk full, read-only, no permission
    ├── ExportError                  a format that cannot hold what was asked
    │   ├── CancelledError           the user cancelled it
    │   └── SendError                sending to a receiver (OTLP)
    │       ├── DestinationError     an endpoint, header or certificate has no meaning
    │       ├── UnreachableError     no connection: name, port, TLS, time
    │       ├── RefusedError         the receiver does not take it
    │       └── UndeliveredError     part of what was sent is lost for good
    └── ImportFormatError            a file of another tool that cannot be read

Errors are caught once, at the command line (:mod:`workbench.cli`), which prints
``what``, ``why`` and ``advice``; a notebook shows the same text.
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """Base of all errors of the workbench.

    Parameters
    ----------
    what : str
        What failed, in one sentence.
    why : str, optional
        The cause as far as it is known: errno, the verifier's last lines, ...
    advice : str, optional
        What the user can do next.
    """

    def __init__(self, what: str, *, why: str = "", advice: str = "") -> None:
        self.what = what
        self.why = why
        self.advice = advice
        super().__init__(what)  # the rest is in __dict__, which pickle restores

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.advice:
            lines.append(f"Next: {self.advice}")
        return "\n".join(lines)


class KernelError(WorkbenchError):
    """Loading, attaching or reading on the kernel side failed."""


class NotPermittedError(KernelError):
    """A capability is missing, or lockdown or a sysctl forbids the operation."""


class UnsupportedKernelError(KernelError):
    """The kernel lacks BTF, a program type, a map type or a helper."""


class ObjectFormatError(KernelError):
    """A file is not a BPF object that can be loaded here."""


class LoadError(KernelError):
    """The kernel refused a program.

    Parameters
    ----------
    log : str
        The whole log of libbpf and the verifier (``why`` holds its end).
    """

    def __init__(self, what: str, *, why: str = "", advice: str = "", log: str = "") -> None:
        super().__init__(what, why=why, advice=advice)
        self.log = log


class AttachError(KernelError):
    """A loaded program could not be attached."""


class MapError(KernelError):
    """A map is missing, or its key, value or type is another one."""


class BufferFormatError(KernelError):
    """Bytes in a ring or perf buffer do not form records."""


class CaptureError(WorkbenchError):
    """A capture was asked for that cannot be run."""


class UnknownKindError(CaptureError):
    """There is no capture kind of that name."""


class ParameterError(CaptureError):
    """A parameter or a filter of a capture has no meaning."""


class TargetError(CaptureError):
    """The process, command or cgroup to capture does not exist."""


class RecorderError(CaptureError):
    """The recorder process died or does not answer."""


class SessionError(WorkbenchError):
    """Reading or writing a recorded session failed."""


class SessionNotFoundError(SessionError):
    """There is no session at that path."""


class SessionCorruptError(SessionError):
    """The content of a session is truncated, damaged or hostile."""


class SessionVersionError(SessionError):
    """The session was written by a newer version of the workbench."""


class MissingTableError(SessionError):
    """The session does not hold that table or column."""


class QueryError(SessionError):
    """A SQL query or a selection cannot be run on this session."""


class StorageError(SessionError):
    """The disk is full, read-only, or access is denied."""


class ExportError(WorkbenchError):
    """A format cannot hold what was asked for."""


class ImportFormatError(WorkbenchError):
    """A file of another tool is truncated, damaged, hostile, or of no known format."""


class CancelledError(ExportError):
    """The user cancelled an export."""


class SendError(ExportError):
    """Sending to a receiver failed."""


class DestinationError(SendError):
    """An endpoint, a header, a certificate or another setting of a receiver has no meaning."""


class UnreachableError(SendError):
    """No receiver could be reached: its name, its port, TLS, or no answer in time."""


class RefusedError(SendError):
    """The receiver answered that it does not take what was sent."""


class UndeliveredError(SendError):
    """Part of what was sent is lost for good; the report of sending tells how much and why."""
