"""The stacks of a session as the tables of OTLP's profiles, numbered once for the whole session.

A *location* is a frame with the functions that were inlined into it, leaf first. Numbers are those
of all stacks; each request gets those that it uses, see
:mod:`workbench.formats.otlp.profiles.dictionary`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp.attributes import MAX_TEXT
from workbench.formats.otlp.identity import Ids, hashed
from workbench.frames.labels import KINDS, named_frames, position
from workbench.frames.needs import need
from workbench.frames.stacks import without_probe

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

Numbers = NDArray[np.int64]

FIXED = (
    "",
    "process.pid",
    "thread.id",
    "thread.name",
    "profile.frame.type",
    "process.executable.build_id.gnu",
    "workbench.profile",
)
"""Texts that every session has; the first stands for none."""
FRAME_TYPES = {"kernel": "kernel", "native": "native", "inlined": "native", "python": "cpython"}
"""``profile.frame.type`` of the kinds of frames; code that was made at run time has none."""
_NO_MAPPING = ("", "[unknown]", "[anon]")


class Symbols:
    """Stacks, locations, functions, mappings and texts of a session.

    Parameters
    ----------
    rec : Recording
        Its tables ``stacks`` and ``frames``.
    texts : sequence of str
        Further texts that requests use, besides :data:`FIXED`.

    Attributes
    ----------
    texts : pyarrow.StringArray
        All texts, each once; number 0 is "".
    text_of : dict of str to int
        Numbers of the fixed texts.
    function, line, address, mapping, kind : numpy.ndarray
        Of each frame: number of its function, source line, address in its mapping, number of its
        mapping (-1 for none), index into :data:`workbench.frames.labels.KINDS`.
    function_name, function_file : numpy.ndarray
        Of each function: numbers of texts.
    mapping_file : numpy.ndarray
        Of each mapping: number of a text.
    mapping_build : list of str
        Its build id, "" where not known.
    location_frames, location_ends : numpy.ndarray
        Frames of location ``i``, leaf first, are those from ``location_ends[i]`` on to
        ``location_ends[i + 1]``.
    stack_locations, stack_ends : numpy.ndarray
        The same of stacks.
    """

    def __init__(self, rec: Recording, texts: tuple[str, ...] = ()) -> None:
        whole = rec.whole
        named = named_frames(whole)
        frames = _frames(whole, named)
        self._tables(frames, tuple(dict.fromkeys((*FIXED, *texts))))
        ids = named["frame_id"].to_numpy()
        self._stack_ids, flat, ends = _stacks(whole)
        flat, ends = without_probe(named, flat, ends)
        known = position(ids, flat)
        self._number(np.where(known >= 0, known, frames.height - 1), ends)

    def stacks(self, stack_id: Any) -> Numbers:
        """Return the number of each stack, -1 for those that are empty or that the session lacks.

        Stacks that look the same have one number.
        """
        found = position(self._stack_ids, np.asarray(stack_id, np.int64))
        return np.append(self._same, -1)[found]

    def _tables(self, frames: pl.DataFrame, fixed: tuple[str, ...]) -> None:
        """Number texts, functions and mappings."""
        import polars as pl
        import pyarrow as pa

        functions = frames.select("name", "source").unique(maintain_order=True)
        mappings = (
            frames.filter(~pl.col("module").is_in(_NO_MAPPING), pl.col("kind") != "python")
            .select("module", "build_id")
            .unique(maintain_order=True)
        )
        parts = [functions["name"], functions["source"], mappings["module"]]
        sizes = np.cumsum([len(fixed), *map(len, parts)])
        every = pl.concat([pl.Series("text", fixed, pl.String), *(p.alias("text") for p in parts)])
        cut = every.str.head(MAX_TEXT).to_arrow(compat_level=pl.CompatLevel.oldest())
        coded = cut.cast(pa.string()).dictionary_encode()
        self.texts = coded.dictionary
        codes = np.asarray(coded.indices).astype(np.int64)
        self.text_of = {text: int(codes[place]) for place, text in enumerate(fixed)}
        names, files, modules = (codes[a:b] for a, b in pairwise(sizes))
        self.function_name, self.function_file, self.mapping_file = names, files, modules
        self.mapping_build = mappings["build_id"].to_list()
        self.function = _numbers(frames, functions)
        self.mapping = np.where(
            (frames["kind"] != "python").to_numpy(), _numbers(frames, mappings), -1
        )
        self.line = frames["line"].cast(pl.Int64).fill_null(0).to_numpy()
        self.address = frames["offset"].fill_null(0).to_numpy()
        self.kind = np.array([KINDS.index(kind) for kind in frames["kind"]], np.uint8)

    def _number(self, flat: Numbers, ends: Numbers) -> None:
        """Number locations and stacks: `flat` are frames of stacks, leaf first."""
        inlined = self.kind[flat] == KINDS.index("inlined")
        last = ~inlined
        last[ends[1:][np.diff(ends) > 0] - 1] = True  # a stack ends in a whole location
        runs = np.concatenate([[0], np.flatnonzero(last) + 1])
        keys = _order_hashes(flat, runs)
        _, first, of_run = np.unique(keys, return_index=True, return_inverse=True)
        sizes = np.diff(runs)[first]
        self.location_ends = np.concatenate([[0], np.cumsum(sizes)])
        self.location_frames = flat[spread(runs[:-1][first], sizes)]
        before = np.concatenate([[0], np.cumsum(last)])
        self.stack_locations, self.stack_ends = of_run.astype(np.int64), before[ends]
        keys = _order_hashes(self.stack_locations, self.stack_ends)
        _, same, which = np.unique(keys, return_index=True, return_inverse=True)
        self._same = np.where(np.diff(self.stack_ends) > 0, same[which], -1)


def spread(starts: Numbers, sizes: Numbers) -> Numbers:
    """Return ``start, start + 1, ...`` of each range, one behind the other.

    Examples
    --------
    >>> spread(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(sizes) - sizes
    return np.asarray(np.arange(int(sizes.sum())) + np.repeat(starts - before, sizes))


def _order_hashes(values: Numbers, ends: Numbers) -> Ids:
    """Return a hash of the values of each range, with their order and number."""
    sizes = np.diff(ends)
    place = np.arange(len(values)) - np.repeat(ends[:-1], sizes)
    each = hashed(np.uint64(1), values, place) if len(values) else np.zeros(0, np.uint64)
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(each, dtype=np.uint64)])
    return hashed(np.uint64(2), total[ends[1:]] - total[ends[:-1]], sizes)


def _frames(rec: Recording, named: pl.DataFrame) -> pl.DataFrame:
    """Return the frames in the order of `named`; one more stands for those that are not known."""
    import polars as pl

    more = need(rec, "frames", "frame_id", "module", "build_id", "offset", "kind")
    frames = (
        more.unique("frame_id", keep="last")
        .sort("frame_id")
        .with_columns(pl.col("module", "build_id").fill_null(""))
        .with_columns(pl.col("kind").cast(pl.String).fill_null("unknown"))
        .collect()
    )
    kinds = pl.col("kind").is_in(KINDS)
    frames = frames.with_columns(pl.when(kinds).then("kind").otherwise(pl.lit("unknown")))
    frames = frames.with_columns(
        named["name"], named["file"].fill_null("").alias("source"), named["line"]
    )
    unknown = {"name": "[unknown]", "source": "", "module": "", "build_id": "", "kind": "unknown"}
    blank = pl.DataFrame({**{name: [text] for name, text in unknown.items()}})
    return pl.concat([frames, blank], how="diagonal")


def _numbers(frames: pl.DataFrame, table: pl.DataFrame) -> Numbers:
    """Return the row of the table that has each frame's values, -1 for none."""
    import polars as pl

    rows = table.with_row_index("number")
    found = frames.select(table.columns).join(
        rows, on=table.columns, how="left", maintain_order="left", nulls_equal=True
    )
    return found["number"].cast(pl.Int64).fill_null(-1).to_numpy()


def _stacks(rec: Recording) -> tuple[Numbers, Numbers, Numbers]:
    """Return the ids of stacks, their frame ids leaf first, and where each stack ends."""
    import polars as pl

    found = (
        need(rec, "stacks", "stack_id", "frame_ids")
        .unique("stack_id", keep="last")
        .sort("stack_id")
        .collect()
    )
    sizes = found["frame_ids"].list.len().fill_null(0).to_numpy().astype(np.int64)
    full = found.filter(pl.col("frame_ids").list.len() > 0)
    flat = full["frame_ids"].explode(empty_as_null=False).fill_null(2**32 - 1)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return found["stack_id"].to_numpy().astype(np.int64), flat.to_numpy().astype(np.int64), ends
