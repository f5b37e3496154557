"""What a capture kind declares."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import ParameterError

OBJECTS = Path(__file__).parent.parent / "objects"
"""Where the workbench's own compiled objects are."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kind.

    Parameters
    ----------
    name : str
    default : object
        Its type is the type of the parameter.
    help : str
    low, high : int, optional
        Bounds of a number, inclusive.
    """

    name: str
    default: Any
    help: str
    low: int | None = None
    high: int | None = None

    def check(self, value: Any) -> Any:
        """Return the value in the parameter's type.

        Raises
        ------
        ParameterError
        """
        wanted = type(self.default)
        if wanted is tuple:
            items = (value,) if isinstance(value, str) else value
            if not isinstance(items, list | tuple) or not all(isinstance(v, str) for v in items):
                raise ParameterError(f"{self.name} must be names, not {value!r}.")
            return tuple(items)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise ParameterError(f"{self.name} must be {wanted.__name__}, not {value!r}.")
        if wanted is float and math.isnan(value):  # neither below nor above any bound
            raise ParameterError(f"{self.name} must be a number, not {value!r}.")
        below = self.low is not None and value < self.low
        if below or (self.high is not None and value > self.high):
            raise ParameterError(f"{self.name} must be {self.low} to {self.high}, not {value}.")
        return value


@dataclass(frozen=True)
class Aggregation:
    """A map that the kind's program aggregates into, instead of sending events.

    Parameters
    ----------
    when : str
        The parameter that turns it on.
    map, key, value : str
        Name of the BPF map and of its key and value structs.
    table : str
        Name of the table; one row per key, cumulative.
    count : str
        Field of the value that counts events: produced = sum of it + dropped.
    source : str
        ``module:class`` of what reads the map, where that is not the usual one.
    """

    when: str
    map: str
    key: str
    value: str
    table: str
    count: str
    source: str = ""


def _no_settings(_parameters: Mapping[str, Any], _machine: str) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class CaptureKind:
    """A capture kind.

    Parameters
    ----------
    name : str
        Of the kind, its table and its object: ``NAME.bpf.o`` with ``struct NAME_event``.
    answers : str
        The questions that it answers, one sentence.
    cost : str
        What it costs the traced program, as measured.
    probes : tuple of str
        Where its programs attach, for people.
    parameters : tuple of Parameter
    settings : callable
        (parameters, machine) to ``const volatile`` values of the object.
    ring_bytes : int
        Size of each CPU's event buffer, unless the user sets one.
    clock : str
        Parameter with the rate of a sampling clock that drives the program, or "".
    stacks : bool or str
        Records end in the words of a stack, which become a ``stack_id``: always, or if this
        parameter is set. Then the object is ``NAME_stacks.bpf.o``.
    source : str
        ``module:class`` of what reads its records, where that is not the usual one.
    aggregation : Aggregation, optional
    arguments : mapping of str to int
        Tracepoints with the number of arguments that its programs take from them; kernels where
        it is another one are refused.
    derived : tuple of str
        Columns that reading adds, besides comm and weight.
    optional : tuple of str
        Tracepoints that some kernels lack: the ``tp_btf`` programs on them are left out there.
    switches : mapping of str to tuple of str
        Parameters that are off or on, and the programs that are left out where they are off.
    object : str
        Path of its compiled object, where that is not among the workbench's own.
    preloads : bool
        A command may be started with a library (:mod:`workbench.recorder.preload`).
    """

    name: str
    answers: str
    cost: str
    probes: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    settings: Callable[[Mapping[str, Any], str], dict[str, Any]] = _no_settings
    ring_bytes: int = 1 << 24
    clock: str = ""
    stacks: bool | str = False
    source: str = ""
    aggregation: Aggregation | None = None
    arguments: Mapping[str, int] = field(default_factory=dict)
    derived: tuple[str, ...] = field(default=())
    optional: tuple[str, ...] = ()
    switches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    object: str = ""
    preloads: bool = False

    @property
    def path(self) -> Path:
        """Path of its compiled object."""
        return Path(self.object) if self.object else OBJECTS / f"{self.name}.bpf.o"

    def with_stacks(self, parameters: Mapping[str, Any]) -> bool:
        """Whether records of a capture with these parameters have stacks."""
        return bool(parameters.get(self.stacks) if isinstance(self.stacks, str) else self.stacks)

    def object_for(self, parameters: Mapping[str, Any]) -> Path:
        """Path of the compiled object that captures with these parameters."""
        if isinstance(self.stacks, str) and self.with_stacks(parameters):
            return self.path.with_name(self.path.name.replace(".bpf.o", "_stacks.bpf.o"))
        return self.path

    @property
    def event(self) -> str:
        """Name of the C struct of its events."""
        return f"{self.name}_event"

    def table(self, parameters: Mapping[str, Any]) -> str:
        """Name of the table that a capture with these parameters fills."""
        if self.aggregation and parameters.get(self.aggregation.when):
            return self.aggregation.table
        return self.name

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, checked, with defaults filled in.

        Raises
        ------
        ParameterError
        """
        known = {p.name: p for p in self.parameters}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ParameterError(
                f"{self.name} has no parameter {', '.join(unknown)}.",
                why=f"It has {', '.join(known) or 'none'}.",
            )
        return {n: p.check(given[n]) if n in given else p.default for n, p in known.items()}
