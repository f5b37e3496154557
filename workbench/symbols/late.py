"""Names, lines and inlined functions for frames that were recorded without them.

A frame keeps the build id of its module and the address there, so the files may be looked for
later and elsewhere: a bare server needs no debug information.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.schema import FRAME_KINDS, STACKS, arrow_schema
from workbench.symbols.expansion import Expander
from workbench.symbols.frame_table import Frame, FrameTable
from workbench.symbols.image import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.symbols.build_ids import BuildIds
    from workbench.symbols.lines import LineReader


def name_again(
    frames: Any, stacks: Any, files: BuildIds, lines: LineReader | None = None
) -> tuple[Any, Any]:
    """Return the tables of frames and stacks with what can be learnt of them now.

    Parameters
    ----------
    frames, stacks : pyarrow.Table
        See :data:`workbench.schema.FRAMES` and :data:`workbench.schema.STACKS`.
    files : BuildIds
        Where modules are looked for.
    lines : LineReader, optional
        What reads debug information.

    Returns
    -------
    frames, stacks : pyarrow.RecordBatch
        The stacks have their ids; frames have new ones. What was known stays, and what cannot be
        learnt is as it was.
    """
    table = FrameTable()
    expander = Expander(table, lines)
    try:
        old, numbers, waiting = _interned(frames, table)
        images = []
        for (build_id, module), members in waiting.items():
            image = _image(files, build_id, module)
            if image is not None:
                images.append(image)
                _name(image, members, table, expander)
        changed = _restacked(stacks, old, numbers, expander)
        for image in images:
            image.close()
        return table.take(), changed
    finally:
        expander.close()


_Waiting = dict[tuple[str, str], list[tuple[int, Frame]]]


def _interned(
    frames: Any, table: FrameTable
) -> tuple[NDArray[np.int64], NDArray[np.uint32], _Waiting]:
    """Number the frames anew; return old and new numbers, and the ones that may learn."""
    old: dict[int, int] = {}
    waiting: _Waiting = {}
    for row in frames.to_pylist():  # one row a frame, not one an event
        kind = row["kind"] if row["kind"] in FRAME_KINDS else "unknown"
        texts = (row["function"] or "", row["module"] or "", row["build_id"] or "")
        frame = Frame(*texts, row["offset"], kind, row["file"], row["line"])
        number = table.intern(("late", row["frame_id"]), frame)
        old[row["frame_id"]] = number
        if kind == "native" and frame.build_id and frame.file is None:
            waiting.setdefault((frame.build_id, frame.module), []).append((number, frame))
    keys = np.array(sorted(old), np.int64)
    return keys, np.array([old[key] for key in keys.tolist()], np.uint32), waiting


def _image(files: BuildIds, build_id: str, module: str) -> Image | None:
    elf = files.best(build_id, module)
    if elf is None:
        return None
    with elf:
        source = elf.duplicate()
    image = Image(0, module, source)
    image.load()
    if image.status != "ok":
        image.close()
        return None
    return image


def _name(
    image: Image, members: list[tuple[int, Frame]], table: FrameTable, expander: Expander
) -> None:
    """Give frames of one module the names of its symbols, and have them ready for lines."""
    found = image.symbols.lookup(np.array([frame.offset for _, frame in members], np.uint64))
    for (number, frame), symbol in zip(members, found.tolist(), strict=True):
        named = frame
        if frame.function.startswith("[") and symbol >= 0:
            named = frame._replace(function=image.symbols.name(symbol))
            table.replace(number, named)
        expander.remember(number, named, image)


def _restacked(
    stacks: Any, old: NDArray[np.int64], numbers: NDArray[np.uint32], expander: Expander
) -> Any:
    import pyarrow as pa

    schema = arrow_schema(STACKS)
    lists = stacks.column("frame_ids").combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    place = np.minimum(np.searchsorted(old, flat), max(len(old) - 1, 0))
    known = old[place] == flat if len(old) else np.zeros(len(flat), np.bool_)
    mapped = np.zeros(len(flat), np.uint32)  # the unknown frame
    mapped[known] = numbers[place[known]]
    ids, counts = expander.expand(mapped)
    before = np.concatenate([[0], np.cumsum(counts)])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    field = schema.field("frame_ids")
    arrays = [
        stacks.column("stack_id").combine_chunks().cast(schema.field("stack_id").type),
        pa.ListArray.from_arrays(
            pa.array(before[ends], pa.int32()), pa.array(ids, field.type.value_type)
        ).cast(field.type),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
