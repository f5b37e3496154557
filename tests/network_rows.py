"""Rows of the tables of the kinds that watch sockets, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

import polars as pl

from workbench.elf import Elf
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import Layout, arrow_schema, event_layout


def layout_of(kind: str) -> Layout:
    """Layout of the events of a kind, as it is compiled."""
    with Elf.open(OBJECTS / f"{kind}.bpf.o") as elf:
        return event_layout(Btf.parse(elf.section_bytes(".BTF")), f"{kind}_event")


def enum_of(kind: str, name: str, prefix: str) -> dict[int, str]:
    """An enum of a program: code to lower-case name without its prefix."""
    with Elf.open(OBJECTS / f"{kind}.bpf.o") as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(name)
    return {value: text.removeprefix(prefix).lower() for text, value in values.items()}


def table(kind: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows with the columns of a kind; what is not given is 0 or empty."""
    schema = pl.from_arrow(arrow_schema(layout_of(kind)).empty_table()).schema
    schema = {**schema, "comm": pl.Categorical, "weight": pl.UInt32}
    if "ret" in schema:
        schema = {**schema, "name": pl.Categorical, "errno": pl.UInt16}
    full = {}
    for name, kind_ in schema.items():
        text = kind_ in (pl.String, pl.Categorical)
        default: Any = "" if text else int(name == "weight")
        if name == "errno" and "ret" in schema:  # made when it is read
            default = None
        values = [row.get(name, default) for row in rows]
        plain = pl.String if text else pl.Int64
        full[name] = pl.Series(name, values, plain).cast(kind_)
    return pl.DataFrame(full)
