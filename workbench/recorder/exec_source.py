"""Processes that begin and end: records whose arguments vary in length."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.recorder.tables import EventSource
from workbench.schema import Column, arrow_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.probe.span import Span

_CMDLINE = Column("cmdline", "string", "1", "arguments, shell-quoted; of exec and failed")


class ExecSource(EventSource):
    """The kind ``exec``."""

    _attached = False

    def _schema(self) -> Any:
        import pyarrow as pa

        kept = [field for field in super()._schema() if field.name != "args_size"]
        return pa.schema([*kept, arrow_field(_CMDLINE)])

    def process_started(self, pid: int, parent: int = 0) -> None:  # noqa: ARG002
        """Note a process that was there before: the program has not seen it begin."""
        if not self._attached:
            self.object.maps["lives"].update(pid.to_bytes(4, "little"), (1).to_bytes(4, "little"))

    def start(self) -> None:
        """Attach."""
        self._attached = True
        super().start()

    def _convert(self, span: Span, records: NDArray[Any]) -> list[tuple[str, Any]]:
        import pyarrow as pa

        words, counts = span.tails(self.layout.dtype.itemsize)
        texts = command_lines(words, counts, records["args_size"])
        return [(self.table, self._batcher.batch(records, cmdline=pa.array(texts, pa.string())))]


def command_lines(
    words: NDArray[np.uint64], counts: NDArray[np.int64], sizes: NDArray[np.uint16]
) -> list[str]:
    """Return the arguments of records, shell-quoted.

    Processes are rare (a busy build makes a thousand a second), and their arguments are text:
    they are handled one by one.

    Parameters
    ----------
    words : uint64 array
        What follows the records, in a row.
    counts : int64 array
        Words of each record.
    sizes : array
        Bytes of arguments in them, each argument ended by NUL.
    """
    data = words.tobytes()
    starts = 8 * (np.cumsum(counts) - counts)
    return [
        shlex.join(_decoded(data[start : start + size]).split("\0")) if size else ""
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]


def _decoded(arguments: bytes) -> str:
    return arguments.removesuffix(b"\0").decode("utf-8", "replace")
