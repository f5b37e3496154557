"""Columns of metrics whose values the semantic conventions name otherwise than the tables do.

Made anew for each slice of a table, as categories: series are told apart by their numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

ADDED = {
    "http": ("failure", "scheme"),
    "dns": ("failure",),
    "sockets": ("io",),
}
"""Columns that tables get; ``method`` of ``http`` is changed as well."""
_IO = {"send": "transmit", "receive": "receive"}
"""``network.io.direction``."""


def added(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the columns of :data:`ADDED`.

    Parameters
    ----------
    table : str
    frame : polars.DataFrame
        Rows of it; what a column is made of may be missing, then it is null.
    """
    import polars as pl

    if table not in ADDED:
        return frame
    made = {"http": _http, "dns": _dns, "sockets": _sockets}[table](frame)
    return frame.with_columns(each.cast(pl.String).cast(pl.Categorical) for each in made)


def _text(frame: pl.DataFrame, name: str) -> pl.Expr:
    import polars as pl

    return pl.col(name).cast(pl.String) if name in frame.columns else pl.lit(None, pl.String)


def _http(frame: pl.DataFrame) -> list[pl.Expr]:
    """Statuses are failures from 400 on for clients, from 500 on for servers (HTTP spans)."""
    import polars as pl

    status = pl.col("status") if "status" in frame.columns else pl.lit(0)
    least = pl.when(_text(frame, "direction") == "receive").then(400).otherwise(500)
    method = _text(frame, "method")
    known = pl.when(method == "other").then(pl.lit("_OTHER")).when(method != "none").then(method)
    return [
        pl.when(status >= least).then(status).alias("failure"),
        pl.lit("http").alias("scheme"),
        known.alias("method"),
    ]


def _dns(frame: pl.DataFrame) -> list[pl.Expr]:
    import polars as pl

    rcode = _text(frame, "rcode")
    return [pl.when(rcode != "noerror").then(rcode).alias("failure")]


def _sockets(frame: pl.DataFrame) -> list[pl.Expr]:
    return [_text(frame, "direction").replace(_IO).alias("io")]
