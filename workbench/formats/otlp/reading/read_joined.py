"""Values of the same observations as one table.

OTLP has one value in each profile. What was one profile of pprof, with samples and their CPU time,
comes as two, which tell of the same stacks in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.profiles.profile import Samples


def joined(samples: Sequence[Samples], default: str = "") -> list[Samples]:
    """Return samples, of which those that differ in nothing but their value are one.

    Parameters
    ----------
    samples : sequence of Samples
        In the order of the file.
    default : str
        Name of the value that is meant where nothing is said. The table that has it comes first.
    """
    result: list[Samples] = []
    for each in samples:
        place = next((at for at, other in enumerate(result) if _alike(other, each)), None)
        if place is None:
            result.append(each)
        else:
            result[place] = replace(result[place], values=result[place].values + each.values)
    told = [any(value.name == default for value in each.values) for each in result]
    named = [
        replace(each, default=default) if has else each
        for each, has in zip(result, told, strict=True)
    ]
    return sorted(named, key=lambda each: each.default != default or not default)  # stable


def _alike(one: Samples, other: Samples) -> bool:
    """Tell whether two samples are different values of the same observations."""
    names = {value.name for value in one.values}
    return (
        one.table == other.table
        and len(one) == len(other)
        and names.isdisjoint(value.name for value in other.values)
        and (one.period_ns, one.facts, one.units) == (other.period_ns, other.facts, other.units)
        and one.columns.keys() == other.columns.keys()
        and np.array_equal(one.stack_ids, other.stack_ids)
        and all(one.columns[name].equals(other.columns[name]) for name in one.columns)
    )
