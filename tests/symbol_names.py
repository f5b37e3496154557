"""A symbolizer, and the frames that it told so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.schema import FRAMES, arrow_schema
from workbench.symbols import Symbolizer


class Names:
    """Asks a symbolizer for single addresses."""

    def __init__(self) -> None:
        self.symbolizer = Symbolizer()
        self.rows: dict[int, dict[str, Any]] = {}

    def of(self, pid: int, *addresses: int, **options: Any) -> list[str]:
        """Return the functions at addresses of a process."""
        return [row["function"] for row in self.frames(pid, *addresses, **options)]

    def frames(self, pid: int, *addresses: int, **options: Any) -> list[dict[str, Any]]:
        """Return the frames at addresses of a process."""
        places = np.array(addresses, np.uint64)
        ids = self.symbolizer.frames_for(pid, places, **options)
        assert ids.dtype == np.uint32
        assert len(ids) == len(places)
        self.take()
        return [self.rows[each] for each in ids.tolist()]

    def take(self) -> None:
        """Take the frames that are new."""
        batch = self.symbolizer.new_frames()
        assert batch.schema == arrow_schema(FRAMES)
        self.rows.update({row["frame_id"]: row for row in batch.to_pylist()})
