"""Files of other tools become sessions: every frame and view works on them, with no privilege."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ExportError, ImportFormatError, StorageError
from workbench.formats import export, format_of, recognised, writable
from workbench.output import OldSession, check_room
from workbench.profiles.session import session_of
from workbench.recording import Recording
from workbench.store.archive import is_archive
from workbench.store.save import save_tables

if TYPE_CHECKING:
    from workbench.store.manifest import Manifest

PathLike = str | os.PathLike[str]
_LAST = (1 << 63) - 1


def import_file(
    path: PathLike,
    output: PathLike | None = None,
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Make a session of a file that another tool wrote.

    Parameters
    ----------
    path : path
        The file. What it is, is found by its content.
    output : path, optional
        The session; by default ``NAME.wb`` beside the file.
    format : str, optional
        One of :func:`workbench.formats.formats`, where it is not to be guessed.
    overwrite : bool
        Replace an existing session.

    Returns
    -------
    Path
        The session.

    Raises
    ------
    ImportFormatError
        The file is of no known format, or damaged.
    StorageError
        The file cannot be read; the output exists, is no session, or cannot be written.
    """
    source = Path(path)
    target = Path(output) if output else source.with_name(f"{source.name}.wb")
    check_room(target.absolute(), overwrite)
    manifest, tables = _read(source, format)
    rows = {name: (table.schema, table.to_batches()) for name, table in tables.items()}
    old = OldSession(target) if target.is_dir() else None  # a file is replaced by the writer
    try:
        save_tables(manifest, rows, target)
    except BaseException:
        if old:
            old.restore()
        raise
    if old:
        old.remove()
    return target


def _read(source: Path, format: str | None) -> tuple[Manifest, dict[str, Any]]:
    """Return the manifest and the tables of a file; see :func:`import_file`."""
    try:
        with open(os.fspath(source), "rb", opener=_not_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StorageError(
                    f"{source} cannot be read.",
                    why="It is no regular file.",
                    advice="Write its content to a file, and import that.",
                )
            chosen, read = recognised(file, source.name, format)
            profile = read(file)
        return session_of(
            profile, format=chosen, source=source.name, modified_ns=min(status.st_mtime_ns, _LAST)
        )
    except OSError as error:
        raise StorageError(f"{source} cannot be read.", why=str(error)) from error
    except ImportFormatError as error:
        raise ImportFormatError(
            f"{source} cannot be imported.",
            why=" ".join(filter(None, (error.what, error.why))),
            advice=error.advice,
        ) from error
    except RecursionError as error:
        raise ImportFormatError(f"{source} cannot be imported: it is nested too deep.") from error
    except MemoryError as error:  # numpy's and pyarrow's are such, too
        raise ImportFormatError(
            f"{source} cannot be imported.", why=f"There is not memory enough for it. {error}"
        ) from error


def _not_waiting(path: str, flags: int) -> int:
    """Open a file; of a pipe nobody is waited for who writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def convert_file(
    path: PathLike,
    output: PathLike,
    *,
    source: str | None = None,
    to: str | None = None,
    table: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], object] | None = None,
) -> Path:
    """Make of a session or another tool's file a session or another file.

    Parameters
    ----------
    path : path
        A session, or a file that can be imported.
    output : path
        A session if it ends in ``.wb``, else a file in the format `to`.
    source, to : str, optional
        Formats, where they are not to follow from the content and from the name.
    table : str, optional
        What to write, where the format holds one table.
    overwrite : bool
        Replace an existing session. Other files are replaced in any case, as by an export.
    progress : callable, optional
        Called with what is done so far, in words.

    Raises
    ------
    ImportFormatError, ExportError, SessionError
    """
    target = Path(output)
    tell = progress or (lambda _: None)
    foreign = source is not None or not is_session(path)
    if to is None and target.suffix == ".wb":
        if foreign:
            tell(f"reading {Path(path).name}")
            return import_file(path, target, format=source, overwrite=overwrite)
        check_room(target.absolute(), overwrite)
        tell(f"writing {target.name}")
        return Recording.open(path).save(target)
    chosen = to or named_format(target)
    with opened(path, source, tell) as rec:
        written = None if progress is None else lambda count: tell(f"{count:,} bytes")
        return export(rec, chosen, target, table=table, progress=written)


@contextmanager
def opened(
    path: PathLike, source: str | None, tell: Callable[[str], object]
) -> Iterator[Recording]:
    """Open a session, or another tool's file as a session that is gone afterwards.

    Raises
    ------
    ImportFormatError, SessionError
    """
    if source is None and is_session(path):
        with Recording.open(path) as rec:
            yield rec
        return
    tell(f"reading {Path(path).name}")
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        made = import_file(path, Path(folder) / f"{Path(path).name}.wb", format=source)
        with Recording.open(made) as rec:
            yield rec


def named_format(path: Path) -> str:
    """Return the format that a file's name stands for.

    Raises
    ------
    ExportError
        It stands for none.
    """
    found = format_of(path.name)
    if found is None:
        raise ExportError(
            f"{path.name} does not tell a format.",
            why=f"These are known: {', '.join(each.suffix for each in writable().values())}",
            advice="Name one: --to FORMAT",
        )
    return found


def is_session(path: PathLike) -> bool:
    """Return whether a path is, by its content, a session rather than a file to import."""
    place = Path(path)
    if place.is_dir():
        return True
    return place.is_file() and is_archive(place)
