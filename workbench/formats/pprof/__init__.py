"""pprof: the profiles of Go, gperftools and many others; ``go tool pprof`` shows them."""

from __future__ import annotations

import gzip
from typing import IO, TYPE_CHECKING, cast

from workbench.formats.format import Format, stack_tables
from workbench.formats.pprof.read import read, recognise
from workbench.formats.pprof.write import write_plain

if TYPE_CHECKING:
    from workbench.recording import Recording

_LEVEL = 1
"""Of gzip, as Go's own profiles: level 6 takes several times as long and saves a tenth."""


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the stacks of a table as a compressed profile; the same session, the same bytes.

    Raises
    ------
    ExportError
        The table has no stacks.
    MissingTableError
    """
    with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
        write_plain(rec, cast("IO[bytes]", packed), table)


FORMATS = (
    Format(
        "pprof",
        ".pb.gz",
        "stacks with all their values: go tool pprof, Pyroscope",
        write,
        read,
        recognise,
        stack_tables,
    ),
    Format("pprof-plain", ".pb", "pprof, not compressed", write_plain, tables=stack_tables),
)
