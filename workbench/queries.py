"""SQL queries on the tables of a session, by polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import QueryError
from workbench.table import collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

    from workbench.table import Table


def run(query: str, tables: Mapping[str, Table]) -> pl.DataFrame:
    """Run a SQL query.

    Parameters
    ----------
    query : str
        In the dialect of polars. ``args[1]`` is the first element of a list or array.
    tables : mapping of str to Table
        What it may name; those that it does not are not read.

    Raises
    ------
    QueryError
        It cannot be run; the text lists tables and columns.
    SessionCorruptError
        A table is damaged.
    """
    import polars as pl

    try:
        try:
            return _run(query, tables)
        except (pl.exceptions.PolarsError, QueryError):
            # LIKE, UPPER() and their like take texts, no dictionaries, in which all else is
            # faster.
            return _run(query, tables, texts=True)
    except (pl.exceptions.PolarsError, QueryError) as error:
        why = error.why if isinstance(error, QueryError) else str(error)
        raise QueryError(
            "The SQL query cannot be run.", why=why, advice=columns_of(tables.values())
        ) from error


def columns_of(tables: Iterable[Table]) -> str:
    """Return a sentence that lists tables and their columns: advice where one was not found."""
    lines = (f"{table.name}({', '.join(table.schema.names)})" for table in tables)
    return "Tables and columns: " + "; ".join(lines)


def _run(query: str, tables: Mapping[str, Table], *, texts: bool = False) -> pl.DataFrame:
    """Run a query on tables with texts in place of dictionaries, or as they are."""
    import polars as pl
    from polars import selectors

    words = query.lower()
    # SQL indexes lists (args[1] is the first), not arrays of fixed size.
    plain = [selectors.array().arr.to_list()]
    if texts:
        plain.append((selectors.categorical() | selectors.enum()).cast(pl.String))
    frames = {
        name: table.lazy().with_columns(plain) for name, table in tables.items() if name in words
    }
    with pl.SQLContext(frames, eager=False) as context:
        return collected(context.execute(query))
