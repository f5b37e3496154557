"""Opening a session: a saved file, a finished directory, a live one, or one whose recorder died."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from workbench.errors import SessionCorruptError, SessionNotFoundError
from workbench.store.archive import Archive, is_archive
from workbench.store.checks import NAME
from workbench.store.comms import CommIndex
from workbench.store.decorate import Decorator
from workbench.store.guard import reading
from workbench.store.integrity import VERIFIED_BYTES, check_crc
from workbench.store.lock import is_live
from workbench.store.manifest import MANIFEST_NAME, MAX_BYTES, Manifest
from workbench.store.mapping import Mapped
from workbench.store.source import ParquetSource, Source, StreamSource
from workbench.store.stream import Stream

_ATTEMPTS = 5
"""A recorder that finishes replaces files between two of our looks; then we look again."""

DIED = "the recorder died; opened what it had flushed"


class Store:
    """The tables of one session, wherever they are. Use :func:`open_store`.

    Attributes
    ----------
    path : Path
        The session.
    manifest : Manifest
        As last read; of a session whose recorder died the state is ``recovered``.
    sources : dict of str to Source
        The tables.
    """

    def __init__(self, path: Path, verify: bool | None) -> None:
        self.path = path
        self.sources: dict[str, Source] = {}
        self._verify = verify
        self._decorator: Decorator | None = None
        self.manifest = self._load()

    def refresh(self) -> bool:
        """Look for what was flushed since; return whether anything is new."""
        if self.manifest.state != "recording":
            return False
        before = {name: source.num_rows for name, source in self.sources.items()}
        old = self.manifest
        self.manifest = self._load()
        after = {name: source.num_rows for name, source in self.sources.items()}
        return before != after or old != self.manifest

    def close(self) -> None:
        """Let go of all files; tables that were read stay usable."""
        self.sources = {}
        self._decorator = None

    def _load(self) -> Manifest:
        if not self.path.is_dir():
            return self._load_archive()
        for _ in range(_ATTEMPTS):
            try:
                return self._load_directory()
            except SessionNotFoundError as error:
                vanished = error
        raise SessionCorruptError(
            f"{self.path} is incomplete.", why=vanished.why or vanished.what
        ) from vanished

    def _load_archive(self) -> Manifest:
        if not is_archive(self.path):
            raise SessionCorruptError(
                f"{self.path} is not a session.",
                why="it is neither a directory nor a zip file",
                advice="A session of another tool's file makes: workbench convert FILE NAME.wb",
            )
        archive = Archive(self.path, self._verify)
        for table in archive.manifest.tables:
            content = partial(archive.table, table)
            rows = archive.manifest.rows(table)
            self.sources[table] = ParquetSource(self.path, table, content, rows)
        return archive.manifest

    def _load_directory(self) -> Manifest:
        manifest = _read_manifest(self.path)
        if manifest.state != "recording":
            self._use_parquet(manifest)
            return manifest
        live = is_live(self.path)
        self._use_streams()
        self._decorator = None
        if live or _read_manifest(self.path).state != "recording":
            return manifest
        rows = {name: {"rows": source.num_rows} for name, source in self.sources.items()}
        return replace(manifest, state="recovered", reason=DIED, tables=rows)

    def _use_parquet(self, manifest: Manifest) -> None:
        sources: dict[str, Source] = {}
        for table in manifest.tables:
            path = self.path / f"{table}.parquet"
            with reading(self.path):
                path.stat()
            content = partial(_content, path, manifest.tables[table].get("crc32"), self._verify)
            sources[table] = ParquetSource(self.path, table, content, manifest.rows(table))
        self.sources = sources

    def _use_streams(self) -> None:
        with reading(self.path):
            found = sorted(p for p in self.path.glob("*.arrows") if NAME.fullmatch(p.stem))
        for path in found:
            known = self.sources.get(path.stem)
            if known is not None:
                known.refresh()
                continue
            stream = Stream(path, path.stem)
            if stream.schema is not None:
                self.sources[path.stem] = StreamSource(stream, self._decorate)

    def _decorate(self) -> Decorator:
        if self._decorator is None:
            machine = self.manifest.machine
            processes = self.sources.get("processes")
            comms = CommIndex.empty()
            if isinstance(processes, StreamSource) and processes.num_rows:
                with reading(self.path, "processes"):
                    comms = CommIndex.from_batches(processes.stream.batches())
            self._decorator = Decorator(comms, machine)
        return self._decorator


def open_store(path: str | os.PathLike[str], *, verify: bool | None = None) -> Store:
    """Open a session for reading.

    Parameters
    ----------
    path : path
        A saved file or a directory; the directory may be one that is being recorded.
    verify : bool, optional
        True compares all tables with their CRC-32 (those of a saved file at once), False none,
        None those of at most 256 MB, when they are first used.

    Raises
    ------
    SessionNotFoundError
        There is nothing at `path`.
    SessionCorruptError, SessionVersionError
        It is damaged, no session, or one of a newer workbench.
    StorageError
        It cannot be read.
    """
    place = Path(path)
    with reading(place):
        place.stat()
    return Store(place, verify)


def _content(path: Path, crc: int | None, verify: bool | None) -> Any:
    """Return the bytes of a Parquet file in a directory, compared with their CRC-32."""
    content = Mapped(path).buffer
    if crc is not None and verify is not False and (verify or content.size <= VERIFIED_BYTES):
        check_crc(path.parent, path.name, content, crc)
    return content


def _read_manifest(directory: Path) -> Manifest:
    path = directory / MANIFEST_NAME
    with reading(directory), path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    return Manifest.from_json(content)
