"""Go's own tool, and profiles that Go's own runtime wrote: what pprof files are held to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "formats" / "pprof" / "go"
HEAP = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
needs_go = pytest.mark.skipif(
    shutil.which("go") is None, reason="there is no `go` here (Debian: golang-go)"
)


def _environment(home: Path) -> dict[str, str]:
    # Nothing is fetched, and nothing is left in the user's home.
    own = {"HOME": str(home), "GOCACHE": str(home / "cache"), "GOPATH": str(home / "go")}
    return os.environ | own | {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "CGO_ENABLED": "0"}


def pprof(file: Path, *options: str, symbolize: str = "none") -> str:
    """Return what ``go tool pprof`` says of a file."""
    home = file.parent / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        ["go", "tool", "pprof", f"-symbolize={symbolize}", *options, str(file)],
        capture_output=True, text=True, check=False, env=_environment(home), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def top(
    file: Path, sample_type: str, unit: str, symbolize: str = "none"
) -> dict[str, tuple[int, int]]:
    """Return self and total of every function, in a unit in which they are whole numbers."""
    said = pprof(
        file, "-top", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0",
        f"-sample_index={sample_type}", f"-unit={unit}",
        symbolize=symbolize,
    )  # fmt: skip
    found = {}
    for line in said.splitlines():
        match = re.fullmatch(r"\s*(-?[\d.]+)\w*\s+\S+\s+\S+\s+(-?[\d.]+)\w*\s+\S+\s+(.*)", line)
        if match:
            own, total, name = match.groups()
            name = name.removesuffix(" (inline)").removesuffix(" (partial-inline)")
            found[name] = (int(own), int(total))
    return found


@cache
def made_by_go(folder: Path) -> dict[str, Path]:
    """Return a profile of every kind that Go's runtime makes, by the kind."""
    program = folder / "profiles"
    environment = _environment(folder)
    subprocess.run(
        ["go", "build", "-o", str(program), "."],
        cwd=SOURCE, env=environment, check=True, timeout=300, capture_output=True,
    )  # fmt: skip
    out = folder / "made"
    out.mkdir()
    subprocess.run([str(program), str(out)], env=environment, check=True, timeout=120)
    return {path.name: path for path in out.iterdir()}
