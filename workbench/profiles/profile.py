"""What a reader makes of a file: stacks with amounts, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Value:
    """One amount of every sample.

    Parameters
    ----------
    name : str
        What it is, as the file calls it: "cpu", "alloc_space", "samples".
    unit : str
        Its unit, as the file calls it: "nanoseconds", "ns", "bytes", "count", "" where unknown.
    amounts : numpy.ndarray
        int64, one entry a sample: the sum over all that the sample stands for. May be negative
        (a difference of two profiles).
    """

    name: str
    unit: str
    amounts: NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Samples with the same values: they become one table of the session.

    Parameters
    ----------
    stack_ids : numpy.ndarray
        uint32, the stack of each sample in :attr:`Profile.stacks`.
    values : tuple of Value
        At least one.
    columns : mapping of str to pyarrow.Array
        What else is known of each sample. ``ts`` (int64 ns UTC or timestamp), ``cpu``, ``pid``,
        ``tid`` and ``comm`` have the meaning that they have in every session; others keep their
        name as far as a column may have it. A value may be null where it is not known.
    units : mapping of str to str
        Units of ``columns`` that have one.
    default : str
        Name of the value that is meant where nothing is said; default the last.
    table : str
        Name of the table, where it is not to follow from the values.
    period_ns : int, optional
        Time between two samples of a thread.
    facts : mapping
        What else the file says of them, as plain JSON values.
    """

    stack_ids: NDArray[np.uint32]
    values: tuple[Value, ...]
    columns: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    table: str = ""
    period_ns: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stack_ids)


@dataclass(frozen=True)
class Profile:
    """What was read from a file.

    Parameters
    ----------
    frames, stacks : pyarrow.Table
        See :data:`workbench.schema.FRAMES` and :data:`workbench.schema.STACKS`; made by
        :class:`workbench.profiles.interning.Stacks` or :mod:`workbench.profiles.tables`. They may
        have more columns.
    samples : tuple of Samples
        One table each.
    processes : pyarrow.Table, optional
        See :data:`workbench.schema.PROCESSES`; default what the samples tell of.
    program : str
        Name of the program, for samples of which no thread name is known.
    start_ns, duration_ns : int, optional
        When the profile was taken, ns UTC, and how long that took.
    facts : mapping
        What else the file says, as plain JSON values: goes into the session's manifest.
    problems : tuple of str
        What could not be understood, for people.
    """

    frames: Any
    stacks: Any
    samples: tuple[Samples, ...]
    processes: Any = None
    program: str = ""
    start_ns: int | None = None
    duration_ns: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
