"""The program tests/kernel/allocations.c, what it does, and captures of it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from programs import compiled

import workbench as wb
from workbench.frames import heap

ROUNDS = 300
LEAKED = 100 * ROUNDS
ALLOCATIONS = 104 * ROUNDS + 2
FREED = 103 * ROUNDS + 2
CHURN_BYTES = ROUNDS * sum(64 + i + 500 + i for i in range(50))
BYTES = LEAKED + CHURN_BYTES + ROUNDS * (777 + 640 + 77) + 3_000_000 + 5_000_000


def compiled_allocations(folder):
    """Compile the program; its functions stay apart, and allocate where they say so."""
    source = Path(__file__).parent.joinpath("kernel", "allocations.c").read_text()
    flags = ("-O1", "-fno-builtin", "-fno-optimize-sibling-calls", "-pthread")
    return str(compiled(folder, "allocations", source, "gcc", *flags))


def capture(tmp_path, command, sample_bytes=0, **options):
    kinds = {"memory": {"sample_bytes": sample_bytes, **options}}
    return wb.capture(kinds, command=command, output=tmp_path / "s.wb", ring_bytes=1 << 24)


def stack_of(session, stack_id):
    frames = dict(session["frames"].polars().select("frame_id", "function").iter_rows())
    (ids,) = session["stacks"].polars().filter(stack_id=stack_id)["frame_ids"]
    return [frames[number] for number in ids]


def by_function(session):
    """Sums of the stacks that begin with a function: it allocates at several places."""
    found = heap.by_stack(session).drop("lifetime")
    names = [stack_of(session, number)[0] for number in found["stack_id"]]
    sums = found.with_columns(pl.Series("function", names)).group_by("function").sum()
    return {row["function"]: row for row in sums.iter_rows(named=True)}


def counts(session):
    ops = session["memory"].polars().select(pl.col("op").cast(pl.String))["op"]
    return dict(ops.value_counts().iter_rows())


def complete(session):
    losses = session.losses.filter(kind="memory")
    assert losses["dropped"].sum() == 0
    assert losses["produced"].sum() == session["memory"].num_rows
    return session
