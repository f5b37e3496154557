"""Lines of legacy profiles: samples, the names that Go tells in comments, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ImportFormatError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_MAPS = r"^\s*(--- Memory map: ---|MAPPED_LIBRARIES:)"
_AT_ONCE = 1 << 14
"""Lines whose addresses are read at once: as texts they take several times the memory."""
_HEX = r"0x[0-9a-f]+"
_NAME = (
    r"^#\t+(?<address>0x[0-9a-f]+)\t+(?<function>[^\t]+)\+0x[0-9a-f]+\t+"
    r"(?<file>[^\t]*):(?<line>[0-9]+)\s*$"
)
"""What Go writes below a sample, one line a frame (``printStackRecord`` of runtime/pprof)."""


def leading(lines: pl.Series) -> pl.Series:
    """Return lines from the first one on that is neither empty nor a comment."""
    found = said(lines)
    return lines.slice(int(np.argmax(found)) if found.any() else len(lines))


def said(lines: pl.Series) -> NDArray[np.bool_]:
    """Return which lines are neither empty nor comments."""
    result: NDArray[np.bool_] = lines.str.contains(r"^\s*[^\s#]").to_numpy()
    return result


def sections(lines: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the lines before the list of mappings, and that list."""
    found = np.flatnonzero(lines.str.contains(_MAPS).to_numpy())
    if not len(found):
        return lines, lines.slice(0, 0)
    return lines.slice(0, int(found[0])), lines.slice(int(found[0]) + 1)


def addresses(texts: pl.Series) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hexadecimal numbers in texts, and their offsets by text.

    Raises
    ------
    ImportFormatError
        One is longer than 64 bits.
    """
    found = [_addresses(texts.slice(at, _AT_ONCE)) for at in range(0, max(1, len(texts)), _AT_ONCE)]
    counts = np.concatenate([counts for _, counts in found])
    return np.concatenate([flat for flat, _ in found]), np.concatenate([[0], np.cumsum(counts)])


def _addresses(texts: pl.Series) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hexadecimal numbers in texts, and how many each has."""
    import polars as pl

    parts = texts.str.extract_all(_HEX)
    counts = parts.list.len().to_numpy().astype(np.int64)
    flat = parts.filter(parts.list.len() > 0).explode()
    values = flat.str.slice(2).str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    if values.null_count():
        raise refused("an address is longer than 64 bits")
    return values.to_numpy().astype(np.uint64), counts


def groups(lines: pl.Series, pattern: str) -> pl.DataFrame:
    """Return the parts of all lines that say something.

    Raises
    ------
    ImportFormatError
        One is not of the pattern.
    """
    rows = lines.filter(said(lines))
    found = rows.str.extract_groups(pattern).struct.unnest()
    wrong = found.to_series(0).is_null()
    if wrong.any():
        raise refused(f"a sample cannot be {str(rows.filter(wrong)[0])[:80]!r}")
    return found


def names(lines: pl.Series) -> pl.DataFrame:
    """Return what comments tell of addresses: address (u64), function, file, line."""
    import polars as pl

    found = lines.filter(lines.str.starts_with("#\t")).str.extract_groups(_NAME).struct.unnest()
    return (
        found.drop_nulls()
        .with_columns(
            pl.col("address").str.slice(2).str.to_integer(base=16, dtype=pl.UInt64, strict=False),
            pl.col("line").cast(pl.UInt32, strict=False).fill_null(0).cast(pl.Int64),
        )
        .drop_nulls("address")
        .unique("address", keep="first", maintain_order=True)
    )


def shown(
    flat: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    names: pl.DataFrame,
    *,
    runtime: bool = True,
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Leave out the frames of Go's runtime of which comments tell nothing, as Go hides them.

    ``printStackRecord`` of runtime/pprof hides ``runtime.goexit``, and of all but mutexes and
    blocking what the runtime does at the leaf. A stack of which nothing would be left stays.

    Parameters
    ----------
    flat, offsets : numpy.ndarray
    names : polars.DataFrame
        Of :func:`names`; where it is empty, nothing is left out.
    runtime : bool
        Also keep the runtime's functions at the leaf that have a name; Go's own profiles of
        the heap do not (``writeHeapProto``).
    """
    if names.is_empty():
        return flat, offsets
    known = names["address"].to_numpy()
    order = np.argsort(known)
    at = order[np.minimum(np.searchsorted(known, flat, sorter=order), len(known) - 1)]
    keep = known[at] == flat
    stack = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    if not runtime:
        own = names["function"].str.starts_with("runtime.").to_numpy()[at] | ~keep
        place = np.where(own, len(flat), np.arange(len(flat)))
        first = np.full(len(offsets) - 1, len(flat))
        np.minimum.at(first, stack, place)
        keep &= (np.arange(len(flat)) >= first[stack]) | (first[stack] == len(flat))
    keep |= ~(np.bincount(stack[keep], minlength=len(offsets) - 1) > 0)[stack]
    before = np.concatenate([[0], np.cumsum(keep)])
    return flat[keep], before[offsets]


def refused(why: str) -> ImportFormatError:
    """Return the error for what is no such profile."""
    return ImportFormatError("The file is no legacy profile, or a damaged one:", why=f"{why}.")
