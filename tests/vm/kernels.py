"""Stock Debian kernels: found in the package lists, fetched, unpacked; nothing is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KERNELS = ROOT / "build" / "vm"
SERIES = ("6.1", "6.12")
"""Debian 12's own, and that of its backports."""
IMAGE = re.compile(r"linux-image-(?P<release>(?P<series>\d+\.\d+)[.\d]*[^ ]*-amd64)$")
OTHERS = re.compile(r"-(cloud|rt|unsigned)(-|$)")
"""Flavours that are left out: cloud kernels have no 9p."""
SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"


class NoKernelError(Exception):
    """No such kernel can be had here."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel.

    Parameters
    ----------
    release : str
        What ``uname -r`` says.
    root : Path
        Where its packages were unpacked: ``boot/``, ``lib/modules/``, ``usr/src/``.
    """

    release: str
    root: Path

    @property
    def image(self) -> Path:
        """Path of the image to boot."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """Folder of its modules."""
        return self.root / "lib" / "modules" / self.release

    @property
    def sources(self) -> list[Path]:
        """Folders of its headers, as below ``/usr/src``; none if they were not asked for."""
        return sorted((self.root / "usr" / "src").glob("linux-*"))


def newest(series: str, listed: str) -> str:
    """Return the newest release of a series.

    Parameters
    ----------
    series : str
        Such as ``6.1``.
    listed : str
        Names of packages, one a line.

    Raises
    ------
    NoKernelError
    """
    found = [m for m in map(IMAGE.match, listed.split()) if m and m["series"] == series]
    releases = [m["release"] for m in found if not OTHERS.search(m["release"])]
    if not releases:
        raise NoKernelError(f"the package lists have no kernel {series}")
    return max(releases, key=lambda text: [int(n) for n in re.findall(r"\d+", text)])


def fetch(series: str, *, headers: bool = False, into: Path = KERNELS) -> Kernel:
    """Return the newest kernel of a series; fetch and unpack it if it is not there.

    Parameters
    ----------
    headers : bool
        Its headers as well.

    Raises
    ------
    NoKernelError
        It cannot be fetched.
    """
    listed = _run("apt-cache", "pkgnames", "linux-image-")
    release = newest(series, listed)
    kernel = Kernel(release, into / release)
    if not kernel.image.exists():
        shutil.rmtree(kernel.root, ignore_errors=True)
        _unpack(f"linux-image-{release}", kernel.root, into)
    if headers and not kernel.sources:
        for package in _headers(release):
            _unpack(package, kernel.root, into)
    return kernel


def _headers(release: str) -> list[str]:
    """Packages of the headers: those of the flavour, the common ones, and kbuild's tools."""
    first = f"linux-headers-{release}"
    listed = _run("apt-cache", "depends", first)
    more = re.findall(r"Depends: (linux-(?:headers|kbuild)-\S+)", listed)
    return [first, *more]


def _unpack(package: str, root: Path, into: Path) -> None:
    downloads = into / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        _run("apt-get", "download", "--quiet=2", package, where=downloads)
        (file,) = downloads.glob(f"{package}_*.deb")
        root.mkdir(parents=True, exist_ok=True)
        _run("dpkg-deb", "-x", str(file), str(root))
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(downloads)


def _run(*words: str, where: Path | None = None) -> str:
    try:
        done = subprocess.run(
            words, cwd=where, env={"PATH": SBIN}, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        text = getattr(error, "stderr", "") or str(error)
        raise NoKernelError(f"{' '.join(words[:3])}: {text.strip()[-300:]}") from error
    return done.stdout
