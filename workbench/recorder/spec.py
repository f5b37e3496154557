"""What a recorder is asked to do: one JSON document from the client on its standard input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench import kinds
from workbench.errors import ParameterError

MIN_RING, MAX_RING = 1 << 12, 1 << 30
TRANSPORTS = ("auto", "ring", "perf")
OVERHEAD = ("sampled", "always", "off")


@dataclass(frozen=True)
class Target:
    """What to trace; conditions add up, none at all means the whole machine.

    Parameters
    ----------
    pid : int, optional
        A process, with all its threads and, if ``follow``, its descendants.
    held : bool
        ``pid`` is a command that waits before its first instruction: it counts from its
        execve on, and its end ends the capture.
    cgroup : str, optional
        Path of a cgroup v2 directory; what is below it counts too.
    comm : str, optional
        Thread name, at most 15 bytes.
    follow : bool
        Children of ``pid`` belong to the target.
    command : tuple of str
        The command, for the manifest.
    """

    pid: int | None = None
    held: bool = False
    cgroup: str | None = None
    comm: str | None = None
    follow: bool = True
    command: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return what the manifest keeps."""
        kept = {k: v for k, v in asdict(self).items() if v not in (None, (), False)}
        return kept | ({"command": list(self.command)} if self.command else {})


@dataclass(frozen=True)
class Spec:
    """A capture, checked.

    Parameters
    ----------
    kinds : mapping of str to mapping
        Parameters of each kind.
    output : str
        Session directory to make, or the single file to leave (``pack``).
    duration : float, optional
        Seconds after which to stop.
    ring_bytes : int, optional
        Size of each CPU's event buffer instead of the kinds' own.
    transport : str
        ``ring``, ``perf`` (kernels before 5.8) or ``auto``.
    overhead : str
        When the kernel's BPF run-time statistics are on: ``sampled`` (a tenth of the time),
        ``always`` or ``off``. They cost the traced program some time themselves.
    pack : bool
        Leave one file instead of a directory.
    """

    kinds: dict[str, dict[str, Any]]
    output: str
    target: Target = field(default_factory=Target)
    duration: float | None = None
    ring_bytes: int | None = None
    transport: str = "auto"
    overhead: str = "sampled"
    pack: bool = True

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read and check a specification."""
        data = json.loads(text)
        target = data.pop("target")
        target["command"] = tuple(target["command"])
        return cls(**data, target=Target(**target)).checked()

    def checked(self) -> Spec:
        """Return this specification with the kinds' defaults filled in.

        Raises
        ------
        UnknownKindError, ParameterError
        """
        if not self.kinds:
            raise ParameterError("A capture needs at least one kind.", advice="workbench kinds")
        checked = {n: kinds.find(n, given).check(given) for n, given in self.kinds.items()}
        _check("transport", self.transport, TRANSPORTS)
        _check("overhead", self.overhead, OVERHEAD)
        _check_type("cgroup", self.target.cgroup, str)
        _check_type("comm", self.target.comm, str)
        _check_type("duration", self.duration, int | float)
        _check_type("ring_bytes", self.ring_bytes, int)
        if self.duration is not None and not 0 < self.duration < 1e7:
            raise ParameterError(f"duration must be a positive number of seconds: {self.duration}.")
        if self.ring_bytes is not None:
            ok = MIN_RING <= self.ring_bytes <= MAX_RING
            if not ok or self.ring_bytes & (self.ring_bytes - 1):
                raise ParameterError(
                    f"ring_bytes must be a power of two from {MIN_RING} to {MAX_RING}, "
                    f"not {self.ring_bytes}."
                )
        if self.target.comm is not None and not 0 < len(self.target.comm.encode()) <= 15:
            raise ParameterError(
                f"comm {self.target.comm!r} can match no thread.",
                why="the kernel keeps 1 to 15 bytes of a thread's name (TASK_COMM_LEN)",
            )
        return Spec(**{**self.__dict__, "kinds": checked})


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")


def _check_type(name: str, value: Any, wanted: Any) -> None:
    if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise ParameterError(f"{name} cannot be {value!r}.")
