"""Rows of the tables of the kinds that watch sockets, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

import polars as pl

from workbench.elf import Elf
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import Layout, arrow_schema, event_layout


def layout_of(kind: str, struct: str = "") -> Layout:
    """Layout of the events of a kind, or of another struct, as it is compiled."""
    with Elf.open(OBJECTS / f"{kind}.bpf.o") as elf:
        return event_layout(Btf.parse(elf.section_bytes(".BTF")), struct or f"{kind}_event")


def enum_of(kind: str, name: str, prefix: str) -> dict[int, str]:
    """An enum of a program: code to lower-case name without its prefix."""
    with Elf.open(OBJECTS / f"{kind}.bpf.o") as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(name)
    return {value: text.removeprefix(prefix).lower() for text, value in values.items()}


def table(kind: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows with the columns of a kind; what is not given is 0 or empty."""
    more: dict[str, Any] = {"comm": pl.Categorical, "weight": pl.UInt32}
    schema = _schema(layout_of(kind))
    if "ret" in schema:  # from which errno is made, null for none
        more |= {"name": pl.Categorical, "errno": pl.UInt16}
    given = {"weight": 1, "errno": None if "ret" in schema else 0}
    return _frame(schema | more, [given | row for row in rows])


def counts(kind: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows with the columns of what a kind aggregates in the kernel."""
    schema: dict[str, Any] = {"ts": pl.Datetime("ns", "UTC"), "comm": pl.Categorical}
    for struct in ("aggregate_key", "aggregate_value"):
        schema |= _schema(layout_of(kind, struct))
    return _frame(schema, rows)


def _schema(layout: Layout) -> dict[str, Any]:
    return dict(pl.DataFrame(arrow_schema(layout).empty_table()).schema)


def _frame(schema: dict[str, Any], rows: list[dict[str, Any]]) -> pl.DataFrame:
    full = {}
    for name, kind in schema.items():
        text, array = kind in (pl.String, pl.Categorical), isinstance(kind, pl.Array)
        default = "" if text else [0] * kind.size if array else 0
        plain = pl.String if text else kind if array else pl.Int64
        values = [row.get(name, default) for row in rows]
        full[name] = pl.Series(name, values, plain).cast(kind)
    return pl.DataFrame(full)
