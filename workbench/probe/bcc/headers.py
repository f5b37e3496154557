"""Which kernel headers BCC compiles against: real ones that fit exactly, else a tree from BTF.

Headers of another version or configuration are never used: programs load with them and read
garbage, silently.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workbench.cache_home import cache_home, is_private
from workbench.errors import UnsupportedKernelError
from workbench.probe.bcc import layout_check, tree
from workbench.probe.btf import Btf

FORMAT = 1
"""Part of the key of a kept tree: to be raised when trees are made in another way."""
KEPT = 4
"""Trees of other kernels that stay, about 5 MB each."""
ROUNDS = 4
"""How often structs at whose members a fault begins are packed: those around them may follow."""
MARK = "checked"
"""File of a tree that says that its layouts were compared with BTF."""

# What the kernel's own build and Debian's header packages leave (include/generated).
_STATED = {"utsrelease.h": "UTS_RELEASE", "utsversion.h": "UTS_VERSION", "compile.h": "UTS_VERSION"}
_PREFIXES = "acpi|asm|asm-generic|crypto|drm|generated|kvm|linux|net|scsi|sound|trace|uapi|xen"
_INCLUDE = re.compile(rf"^\s*#\s*include\s+<((?:{_PREFIXES})/[\w./-]+)>", re.MULTILINE)


@dataclass(frozen=True)
class Headers:
    """Kernel headers.

    Parameters
    ----------
    path : pathlib.Path
        What BCC takes as ``BCC_KERNEL_SOURCE``.
    made : bool
        Whether it is a tree made from BTF.
    installed : bool
        Whether they are where the running kernel's belong, below ``/lib/modules``.
    """

    path: Path
    made: bool
    installed: bool = False

    def prepare(self, text: str) -> list[str]:
        """Make a tree ready for a program; return the compiler flags that it needs.

        A made tree has all types in one file, so that headers which a program includes are empty
        there. Structs that the program defines itself are left out of it.
        """
        if not self.made:
            return []
        for name in {*_INCLUDE.findall(text), *_BY_BCC}:
            path = self.path / "include" / name
            if ".." not in Path(name).parts and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        own = set(re.findall(r"^\s*(?:struct|union)\s+(\w+)\s*\{", text, re.MULTILINE))
        types = (self.path / tree.TYPES).read_text() if own else ""
        return [f"-DWB_OMIT_{name}" for name in sorted(own) if f"WB_OMIT_{name}\n" in types]


# Included by BCC's own helpers.h.
_BY_BCC = (
    "uapi/linux/bpf.h",
    "uapi/linux/if_packet.h",
    "uapi/linux/if_ether.h",
    "uapi/linux/ptrace.h",
    "linux/version.h",
    "linux/log2.h",
    "linux/types.h",
    "linux/bpf_common.h",
    "asm/page.h",
)


def find(directory: Path | None = None) -> Headers:
    """Return headers for the running kernel.

    Parameters
    ----------
    directory : pathlib.Path, optional
        Where trees are kept, by default in the user's cache.

    Raises
    ------
    UnsupportedKernelError
        The kernel has no BTF and there are no headers that fit; or ``BCC_KERNEL_SOURCE`` names
        some that do not.
    """
    given = os.environ.get("BCC_KERNEL_SOURCE")
    if given:
        why = misfit(Path(given))
        if why and not (Path(given) / MARK).exists():
            raise UnsupportedKernelError(
                f"The kernel headers in {given} are not those of the running kernel.",
                why=why,
                advice="Unset BCC_KERNEL_SOURCE: headers are made from the kernel's BTF then.",
            )
        return Headers(Path(given), made=(Path(given) / MARK).exists())
    modules = Path("/lib/modules", platform.release())
    for real in (modules / "build", modules / "source"):
        if not misfit(real):
            return Headers(real, made=False, installed=True)
    return Headers(made_tree(directory or cache_home() / "workbench" / "bcc"), made=True)


def misfit(headers: Path) -> str:
    """Say why headers are not those of the running kernel; "" if they are.

    They must state its release, its build if they state one, and the configuration it was built
    with where both are known.
    """
    generated = headers / "include" / "generated"
    running = {"UTS_RELEASE": platform.release(), "UTS_VERSION": platform.version()}
    stated = {}
    for file, name in _STATED.items():
        with suppress(OSError):
            found = re.search(rf'#define {name} "(.*)"', (generated / file).read_text())
            if found:
                stated[name] = found[1]
    if "UTS_RELEASE" not in stated:
        return "they do not say of which kernel they are"
    for name, value in stated.items():
        if value != running[name]:
            return f"they are of {value}, and this kernel is {running[name]}"
    return _other_configuration(headers)


def _other_configuration(headers: Path) -> str:
    mine = _settings(tree.config_text(platform.release()))
    try:
        theirs = _settings((headers / "include" / "config" / "auto.conf").read_text())
    except OSError:
        return ""
    differ = sorted(n for n in mine.keys() & theirs.keys() if mine[n] != theirs[n])
    # A name that only one side has may be a version of the compiler.
    return f"they are configured with another {differ[0]}" if differ else ""


def _settings(text: str) -> dict[str, str]:
    found = re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE)
    return {name: value for name, value in found if "VERSION" not in name and "CC_" not in name}


def made_tree(directory: Path, source: Path = tree.BTF) -> Path:
    """Return a tree made from the kernel's BTF: a kept one, or a new one.

    Parameters
    ----------
    directory : pathlib.Path
        Where trees are kept; a temporary one is used if others may write there.
    source : pathlib.Path
        The BTF.

    Raises
    ------
    UnsupportedKernelError
        There is no BTF, or structs of the tree would not be laid out as it says.
    """
    try:
        data = source.read_bytes()
    except OSError as error:
        raise UnsupportedKernelError(
            "BCC needs kernel headers, and there are none for this kernel.",
            why=f"no headers that fit it are installed, and it has no BTF: {error}",
            advice="Install them, apt-get install linux-headers-$(uname -r), or a kernel with BTF.",
        ) from error
    if not is_private(directory):
        directory = Path(tempfile.mkdtemp(prefix="workbench-bcc-"))
    place = directory / _key(data)
    if (place / MARK).exists():
        os.utime(place)
        return place
    made = Path(tempfile.mkdtemp(prefix=".", dir=directory))
    try:
        _make(made, data, source)
        with suppress(OSError):  # somebody else was faster
            made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    _evict(directory, place)
    return place


def _make(place: Path, data: bytes, source: Path) -> None:
    btf = Btf.parse(data, "the kernel")
    tree.make(place, btf, source=source)
    places = layout_check.places(btf)
    wrong = layout_check.wrong_places(place, places)
    for _ in range(ROUNDS):
        if wrong:
            tree.pack(place, layout_check.innermost(btf, {struct for struct, _, _ in wrong}))
            wrong = layout_check.wrong_places(place, places)
    if wrong:
        struct, member, offset = wrong[0]
        raise UnsupportedKernelError(
            "Headers for BCC cannot be made from this kernel's BTF.",
            why=f"{len(wrong)} of {len(places)} members would lie elsewhere, such as {struct}."
            f"{member}, which is at byte {offset}",
            advice="Install the kernel's own headers: apt-get install linux-headers-$(uname -r).",
        )
    (place / MARK).write_text(f"{len(places)} members\n")


def _key(btf: bytes) -> str:
    """Name of a tree: everything that it is made of."""
    digest = hashlib.blake2b(btf, digest_size=16)
    made_by = (tree.MACROS.read_bytes(), Path(tree.__file__).read_bytes())
    about = (FORMAT, platform.release(), platform.machine(), tree.config_text(platform.release()))
    digest.update(repr(about).encode() + b"".join(made_by))
    return digest.hexdigest()


def _evict(directory: Path, keep: Path) -> None:
    """Remove the trees that were not used for the longest time, and halves that were left."""
    entries = [entry for entry in directory.iterdir() if entry != keep]
    old = time.time() - 3600
    halves = [e for e in entries if e.name.startswith(".") and e.stat().st_mtime < old]
    whole = sorted(
        (e for e in entries if not e.name.startswith(".")), key=lambda e: -e.stat().st_mtime
    )
    for entry in halves + whole[KEPT:]:
        shutil.rmtree(entry, ignore_errors=True)
