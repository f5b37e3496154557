"""A saved session: one zip file whose members are stored, so that they can be mapped."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from workbench.errors import SessionCorruptError, StorageError
from workbench.store.convert import sync
from workbench.store.guard import is_special, reading, writing
from workbench.store.integrity import VERIFIED_BYTES, check_crc
from workbench.store.manifest import MANIFEST_NAME, MAX_BYTES, Manifest
from workbench.store.mapping import Mapped
from workbench.store.zipped import Member, members

_BLOCK = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)  # the same session gives the same bytes


def pack(
    directory: str | os.PathLike[str],
    path: str | os.PathLike[str],
    part: Path | None = None,
) -> Path:
    """Pack a finished session directory into one file, atomically.

    Parameters
    ----------
    directory : path
        A session whose tables are Parquet files.
    path : path
        The file to write; an existing file is replaced, and only by a whole one.
    part : Path, optional
        Its name until it is whole, on the same file system; by default beside it.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    StorageError
        The session is not finished, or the file cannot be written.
    """
    source, target = Path(directory), Path(path)
    content = (source / MANIFEST_NAME).read_bytes()
    manifest = Manifest.from_json(content)
    if manifest.state == "recording":
        raise StorageError(f"{source} is not finished.", advice="Stop the recording first.")
    if is_special(target):
        raise StorageError(f"{target} is no place for a session.", advice="Name a file.")
    part = part or target.with_name(f"{target.name}.{os.getpid()}.part")
    with writing(target):
        try:
            with zipfile.ZipFile(part, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
                archive.writestr(zipfile.ZipInfo(MANIFEST_NAME, _DATE), content)
                for table in manifest.tables:
                    _add(archive, source / f"{table}.parquet")
            sync(part)
            part.replace(target)
            sync(target.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return target


def _add(archive: zipfile.ZipFile, path: Path) -> None:
    info = zipfile.ZipInfo(path.name, _DATE)
    large = path.stat().st_size >= 1 << 31
    with path.open("rb") as source, archive.open(info, "w", force_zip64=large) as member:
        while block := source.read(_BLOCK):
            member.write(block)


class Archive:
    """A saved session, memory-mapped.

    Parameters
    ----------
    path : Path
        The file.
    verify : bool, optional
        True compares every member with its CRC-32 at once; False none at all; None those of at
        most :data:`VERIFIED_BYTES`, when they are first used.

    Raises
    ------
    SessionCorruptError
        The file is damaged, or is no session.
    """

    def __init__(self, path: Path, verify: bool | None = None) -> None:
        self.path = path
        self._verify = verify
        self._buffer = Mapped(path).buffer
        self._members = members(memoryview(self._buffer).cast("B"))
        self._verified: set[str] = set()
        self.manifest = self._read_manifest()
        self._check_names()
        if verify:
            for member in self._members.values():
                self._check_crc(member)

    def table(self, name: str) -> Any:
        """Return the bytes of a table's Parquet file, without a copy."""
        member = self._members[f"{name}.parquet"]
        small = member.size <= VERIFIED_BYTES
        if self._verify is not False and small and name not in self._verified:
            self._check_crc(member)
            self._verified.add(name)
        return self._bytes(member)

    def _bytes(self, member: Member) -> Any:
        return self._buffer.slice(member.start, member.size)

    def _read_manifest(self) -> Manifest:
        member = self._members.get(MANIFEST_NAME)
        if member is None or member.size > MAX_BYTES:
            raise self._damaged("it holds no manifest")
        self._check_crc(member)
        manifest = Manifest.from_json(bytes(self._bytes(member)))
        if manifest.state == "recording":
            raise self._damaged("a saved session cannot be one that is being recorded")
        return manifest

    def _check_names(self) -> None:
        expected = {MANIFEST_NAME, *(f"{table}.parquet" for table in self.manifest.tables)}
        if expected != set(self._members):
            odd = sorted(expected ^ set(self._members))
            raise self._damaged(f"its members are not those of its manifest: {odd[:5]}")

    def _check_crc(self, member: Member) -> None:
        check_crc(self.path, member.name, self._bytes(member), member.crc)

    def _damaged(self, why: str) -> SessionCorruptError:
        return SessionCorruptError(f"{self.path} is damaged.", why=why)


def is_archive(path: Path) -> bool:
    """Return whether a file starts as a zip file does."""
    with reading(path), path.open("rb") as file:
        return file.read(4) == b"PK\3\4"
