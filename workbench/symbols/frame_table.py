"""Frames of one capture: each gets a number once, and is told once.

The columns are those of :data:`workbench.schema.FRAMES`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from workbench.schema import FRAMES, arrow_schema

UNKNOWN = "[unknown]"
"""Function of what cannot be named, as perf and its flamegraph scripts write it."""


class Frame(NamedTuple):
    """One row of the table of frames."""

    function: str
    module: str
    build_id: str
    offset: int
    kind: str
    file: str | None = None
    line: int | None = None


class FrameTable:
    """Numbers frames by what identifies them.

    Frame 0 is "[unknown]" in module "[unknown]": it stands for what could not even be looked up.
    """

    def __init__(self) -> None:
        self._ids: dict[Hashable, int] = {}
        self._news: dict[int, Frame] = {}
        self.intern((UNKNOWN,), Frame(UNKNOWN, UNKNOWN, "", 0, "unknown"))

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, key: Hashable) -> int:
        """Return the number of the frame that `key` identifies, -1 if it is a new one."""
        return self._ids.get(key, -1)

    def intern(self, key: Hashable, frame: Frame) -> int:
        """Return the number of the frame that `key` identifies; new ones become `frame`."""
        number = self._ids.get(key)
        if number is None:
            number = self._ids[key] = len(self._ids)
            self._news[number] = frame
        return number

    def replace(self, number: int, frame: Frame) -> None:
        """Tell that frame `number` is now known to be `frame`."""
        self._news[number] = frame

    def take(self) -> Any:
        """Return the frames that are new or changed since the last call.

        Returns
        -------
        pyarrow.RecordBatch
            With the columns of :data:`workbench.schema.FRAMES`; a later row of one ``frame_id``
            replaces an earlier one.
        """
        import pyarrow as pa

        news, self._news = self._news, {}
        schema = arrow_schema(FRAMES)
        columns: dict[str, Any] = {"frame_id": list(news)}
        for name in Frame._fields:
            columns[name] = [getattr(frame, name) for frame in news.values()]
        arrays = []
        for field in schema:
            values = pa.array(columns[field.name], _plain(field.type))
            arrays.append(values.cast(field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _plain(kind: Any) -> Any:
    """Return the type of a dictionary's values, other types as they are."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind
