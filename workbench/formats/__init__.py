"""Exporters, one file per format: each takes a session or a selection of one.

A format is a module here with a :data:`FORMAT`; adding the file registers it. :func:`export`
is the one place that opens, closes and, when something goes wrong, removes what was written.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ExportError
from workbench.formats.format import Format
from workbench.store.guard import writing

if TYPE_CHECKING:
    from workbench.recording import Recording

__all__ = ["Format", "export", "formats"]

_OWN = "format"
"""The module that defines what a format is, and is none itself."""


@cache
def formats() -> dict[str, Format]:
    """Return the formats by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name != _OWN and not module.ispkg and not module.name.startswith("_"):
            value = importlib.import_module(f"{__name__}.{module.name}").FORMAT
            found[value.name] = value
    return dict(sorted(found.items()))


def export(
    rec: Recording, format: str, path: str | os.PathLike[str], *, table: str | None = None
) -> Path:
    """Write a session, or a selection of one, in another format.

    Parameters
    ----------
    rec : Recording
        What to write; its selection is honoured.
    format : str
        One of :func:`formats`.
    path : path
        The file. It appears under this name when it is whole, and replaces an existing one.
    table : str, optional
        The table, for formats that hold one; default the session's events, or for stacks its
        CPU samples.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ExportError
        There is no such format, or it cannot hold what was asked for.
    MissingTableError
        The session does not hold the table.
    StorageError
        The file cannot be written. Nothing of it is left behind.
    """
    target = Path(path)
    chosen = formats().get(format)
    if chosen is None:
        raise ExportError(
            f"There is no format {format!r}.", advice=f"Formats: {', '.join(formats())}"
        )
    if target.is_dir():
        raise ExportError(f"{target} is a directory.", advice="Name a file.")
    with writing(target):
        descriptor, name = tempfile.mkstemp(f".{os.getpid()}.part", target.name, target.parent)
        part = Path(name)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor has no path
                chosen.write(rec, file, table)
            part.chmod(0o666 & ~_umask())
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    return target


def _umask() -> int:
    """Return the umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
