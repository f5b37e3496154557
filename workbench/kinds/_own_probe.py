"""The user's own probes as a capture kind: made at run time, one for each probe."""

from __future__ import annotations

import re
from functools import cache

from workbench.kinds._kind import OBJECTS, CaptureKind, Parameter

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Of a table, which is a file of the session."""
PARAMETERS = (
    Parameter("probe", "", "where to attach, e.g. uprobe:/lib/libc.so.6:malloc"),
    Parameter("fields", (), "fields to take, NAME=EXPRESSION or EXPRESSION; all arguments if none"),
    Parameter("filter", "", "comparisons joined by `and`, e.g. size >= 4096 and comm == 'dd'"),
    Parameter("aggregate", (), "in the kernel: count, sum(x), avg(x), min(x), max(x), hist(x)"),
    Parameter("by", (), "fields that make the groups to aggregate in"),
    Parameter("latency", False, "wait for the function's return and tell how long it took"),
    Parameter("stacks", False, "take the stack, native and Python, with each event"),
    Parameter("string_size", 128, "bytes for each text, its zero byte included", low=2, high=512),
    Parameter("max_groups", 4096, "groups there is room for", low=1, high=1 << 20),
)


@cache
def own_probe(name: str) -> CaptureKind:
    """Return the kind that is a probe of the user's own; ``name`` becomes that of its table."""
    return CaptureKind(
        name=name,
        answers="What does the probe see?",
        cost="0.2 to 0.6 µs a run, with stacks 2 µs; in programs the trap besides: about 10 µs a "
        "call on a virtual machine",
        probes=("as given",),
        parameters=PARAMETERS,
        ring_bytes=1 << 23,
        stacks="stacks",
        source="workbench.recorder.probe_sources:source_for",
        object=str(OBJECTS / "probe.bpf.o"),
    )
