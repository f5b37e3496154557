"""Tables of the Firefox Profiler's format that all threads share: stacks, frames, functions."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from workbench.formats._json import constant, dumps, put_table
from workbench.frames.samples import Samples, functions
from workbench.frames.stack_tree import stack_tree

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from workbench.formats._columns import Column

CATEGORIES = {
    "Other": "grey",
    "Kernel": "orange",
    "Native": "blue",
    "Python": "yellow",
    "JIT": "green",
}
_CATEGORY = {
    "kernel": "Kernel",
    "native": "Native",
    "inlined": "Native",
    "python": "Python",
    "jit": "JIT",
}
_WEIGHTS = {"ns": "tracing-ms", "bytes": "bytes"}
"""``WeightType``: counts are ``samples``."""
_LIBRARY = 1
"""Type of resources that are libraries."""
MS = 1_000_000
"""ns of a millisecond."""


class Shared:
    """The tables that all threads share.

    Parameters
    ----------
    found : Samples, optional
        Whose stacks they hold.
    names : polars.Series
        Further texts.
    """

    def __init__(self, found: Samples | None, names: pl.Series) -> None:
        import polars as pl

        self._frames = found.frames if found else no_frames()
        self._functions, self._function = functions(self._frames)
        items = found.flat if found else np.zeros(0, np.int64)
        offsets = found.offsets if found else np.zeros(1, np.int64)
        self._tree = stack_tree(items, offsets)
        used = [names, *(self._functions[name] for name in ("name", "module", "file"))]
        texts = pl.concat([one.rename("text") for one in used]).drop_nulls().unique().sort()
        self._texts = texts.to_frame().with_row_index("number")

    def text_numbers(self, texts: pl.Series) -> pl.Series:
        """Return where texts stand among the strings, null for null."""
        rows = texts.rename("text").to_frame()
        return rows.join(self._texts, on="text", how="left", maintain_order="left")["number"]

    def put(self, file: IO[bytes]) -> None:
        """Write them."""
        file.write(b'{"stringArray":' + dumps(self._texts["text"].to_list()))
        prefix = _nullable(self._tree.prefix)
        import polars as pl

        tables = {
            "stackTable": {"frame": pl.Series(self._tree.item), "prefix": prefix},
            "frameTable": self._frame_table(),
            **self._function_tables(),
            "nativeSymbols": dict.fromkeys(
                ("libIndex", "address", "name", "functionSize"), pl.Series([], dtype=pl.Int64)
            ),
        }
        for name, columns in tables.items():
            file.write(b",\n" + dumps(name) + b":")
            put_table(file, columns)
        file.write(b"}")

    def _frame_table(self) -> dict[str, pl.Series]:
        import polars as pl

        size = len(self._frames)
        order = list(CATEGORIES)
        category = self._frames["kind"].replace_strict(
            {kind: order.index(name) for kind, name in _CATEGORY.items()},
            default=0,
            return_dtype=pl.Int64,
        )
        zero, null = constant(0, size), constant(None, size)
        return {
            "address": constant(-1, size),
            "inlineDepth": zero,
            "category": category,
            "subcategory": zero,
            "func": pl.Series(self._function),
            "nativeSymbol": null,
            "innerWindowID": zero,
            "line": self._frames["line"],
            "column": null,
        }

    def _function_tables(self) -> dict[str, dict[str, pl.Series]]:
        import polars as pl

        named = self._functions
        size = len(named)
        python = pl.col("kind") == "python"
        module = named.select(
            pl.when(python | (pl.col("module") == "")).then(None).otherwise("module").alias("text")
        ).to_series()
        libraries = module.drop_nulls().unique().sort()
        sources = named["file"].drop_nulls().unique().sort()
        null, no = constant(None, size), constant(False, size)
        return {
            "funcTable": {
                "name": self.text_numbers(named["name"]),
                "isJS": no,
                "relevantForJS": no,
                "resource": _place(module, libraries).fill_null(-1),
                "source": _place(named["file"], sources),
                "lineNumber": null,
                "columnNumber": null,
            },
            "resourceTable": {
                "type": constant(_LIBRARY, len(libraries)),
                "lib": constant(None, len(libraries)),
                "name": self.text_numbers(libraries),
                "host": constant(None, len(libraries)),
            },
            "sources": {
                "id": constant(None, len(sources)),
                "filename": self.text_numbers(sources),
            },
        }

    def sample_columns(self, unit: str, start: int) -> dict[str, Column]:
        """Return what makes the columns of samples of :class:`workbench.frames.samples.Samples`.

        Parameters
        ----------
        unit : str
            Of their amounts.
        start : int
            Time from which times are counted, ns UTC.
        """
        amount: Column = lambda rows: rows["amount"]  # noqa: E731
        in_ms: Column = lambda rows: (rows["amount"] / MS).round(6)  # noqa: E731
        return {
            "stack": lambda rows: _nullable(self._tree.leaf[rows["stack"].to_numpy()]),
            "time": lambda rows: ((rows["ts"] - start) / MS).round(6),
            "weight": in_ms if unit == "ns" else amount,
        }


def weight_type(unit: str) -> str:
    """Return the profiler's name of what amounts are."""
    return _WEIGHTS.get(unit, "samples")


def no_frames() -> pl.DataFrame:
    import polars as pl

    texts = dict.fromkeys(("name", "module", "kind", "file"), pl.String)
    return pl.DataFrame(schema={**texts, "line": pl.UInt32})


def _nullable(values: NDArray[np.int64]) -> pl.Series:
    """Return indices, null for -1."""
    import polars as pl

    return pl.DataFrame({"at": values}).select(
        pl.when(pl.col("at") >= 0).then("at")
    ).to_series()  # fmt: skip


def _place(texts: pl.Series, among: pl.Series) -> pl.Series:
    """Return where texts stand among sorted ones, null for null."""
    table = among.rename("text").to_frame().with_row_index("number").cast({"number": int})
    rows = texts.rename("text").to_frame()
    return rows.join(table, on="text", how="left", maintain_order="left")["number"]
