"""The distribution's BCC in any virtual environment.

BCC is no package of PyPI: distributions install its Python module for their own interpreter
(Debian: ``python3-bpfcc`` in ``/usr/lib/python3/dist-packages``), out of sight of virtual
environments. It is pure Python over ``libbcc.so``, so any Python may use it. Of the distribution's
folder nothing but ``bcc`` is made visible.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UnsupportedKernelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

FOLDERS = (
    Path("/usr/lib/python3/dist-packages"),  # Debian, Ubuntu
    *sorted(Path("/usr/lib").glob("python3.*/site-packages"), reverse=True),  # Fedora, Arch, SUSE
    *sorted(Path("/usr/lib64").glob("python3.*/site-packages"), reverse=True),
)
INSTALL = "Install the distribution's: apt-get install python3-bpfcc, dnf install python3-bcc."
NAME = "bcc"


class Finder:
    """Finds ``bcc`` and its submodules in one folder, and nothing else there.

    Parameters
    ----------
    folder : pathlib.Path
        Where the distribution keeps Python modules.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the place of ``bcc``; what is in it is found through the package itself."""
        if name != NAME or path is not None:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [str(self.folder)], target)


def is_bcc(package: Path) -> bool:
    """Whether a folder ``bcc`` is the BPF compiler collection: it binds ``libbcc``."""
    return (package / "libbcc.py").is_file() and (package / "table.py").is_file()


def distribution_folder(folders: Sequence[Path] = FOLDERS) -> Path | None:
    """Return the folder that holds the distribution's BCC, or None."""
    return next((folder for folder in folders if is_bcc(folder / NAME)), None)


@cache
def load() -> Any:
    """Import the distribution's ``bcc``.

    Returns
    -------
    module

    Raises
    ------
    UnsupportedKernelError
        It is not installed, or another package of that name was imported before.
    """
    present = sys.modules.get(NAME) or importlib.util.find_spec(NAME)
    place = getattr(present, "__file__", None) or getattr(present, "origin", None)
    right = place is not None and is_bcc(Path(place).parent)
    if not right:
        folder = distribution_folder()
        if folder is None:
            raise _missing(place)
        if NAME in sys.modules:
            raise UnsupportedKernelError(
                "Another package named bcc was imported before.",
                why=_other(str(place)),
                advice="Restart Python without importing it: pip uninstall bcc.",
            )
        sys.meta_path.insert(0, Finder(folder))
    try:
        return importlib.import_module(NAME)
    except (ImportError, OSError) as error:  # libbcc.so is missing or of another machine
        raise UnsupportedKernelError(
            "BCC cannot be loaded.", why=str(error), advice=INSTALL
        ) from error


def _missing(place: str | None) -> UnsupportedKernelError:
    why = _other(place) if place else "no folder of this system has its Python module"
    return UnsupportedKernelError("BCC is not installed.", why=why, advice=INSTALL)


def _other(place: str) -> str:
    import importlib.metadata  # takes longer than all else here, and is seldom needed

    version = ""
    try:
        version = f" {importlib.metadata.version(NAME)}"
    except importlib.metadata.PackageNotFoundError:
        pass
    return (
        f"the package bcc{version} in {Path(place).parent} is not the BPF compiler collection: "
        "PyPI's package of that name has nothing to do with eBPF"
    )
