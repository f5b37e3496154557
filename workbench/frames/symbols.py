"""How much is known of the frames of a recording, by module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.needs import need

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording


def symbol_summary(rec: Recording) -> pl.DataFrame:
    """Return one row per module: its build id, and how many of its frames have names and lines.

    Parameters
    ----------
    rec : Recording
        Needs ``frames``.

    Returns
    -------
    polars.DataFrame
        module, build_id : str
        frames : u32
            Places in it; inlined functions are not counted.
        named, lined : u32
            How many of them have a function, and a source line. Sorted by what lacks names.
    """
    import polars as pl

    named = ~pl.col("function").fill_null("[").str.starts_with("[")
    return (
        need(rec, "frames", "frame_id", "function", "module", "build_id", "line", "kind")
        .unique("frame_id", keep="last")
        .filter(pl.col("kind").cast(pl.String) != "inlined")
        .group_by(pl.col("module", "build_id").fill_null(""))
        .agg(
            pl.len().cast(pl.UInt32).alias("frames"),
            named.sum().cast(pl.UInt32).alias("named"),
            pl.col("line").is_not_null().sum().cast(pl.UInt32).alias("lined"),
        )
        .sort(
            pl.col("frames") - pl.col("named"), "frames", "module", descending=[True, True, False]
        )
        .collect()
    )
