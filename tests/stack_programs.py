"""Programs whose stacks are known."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from workbench.recording import Recording

SOURCE = Path(__file__).parent / "kernel" / "chains.cpp"
MODES = (
    "plain", "exceptions", "threads", "signals", "alternate",
    "aligned", "large", "deep", "deeper", "vdso", "plt", "lazy", "lazy_signals",
)  # fmt: skip
FLAGS = ("-O2", "-fomit-frame-pointer", "-pthread", "-Wl,-z,lazy")
_COMPILED: dict[str, str] = {}
LIBRARY = "long far_away(long n) { return n + 1; }"


def chains(factory: pytest.TempPathFactory, compiler: str = "g++") -> str:
    """Return the path of the program ``chains``; skip where there is no compiler."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    if compiler not in _COMPILED:
        _COMPILED[compiler] = _compiled(factory.mktemp("chains"), compiler)
    return _COMPILED[compiler]


def _compiled(folder: Path, compiler: str) -> str:
    library, program = folder / "libfar.so", folder / "chains"
    language = ("-x", "c", "-") if compiler.endswith("++") else ("-",)
    subprocess.run(
        [compiler, *FLAGS, "-shared", "-fPIC", "-o", library, *language],
        check=True, text=True, input=LIBRARY,
    )  # fmt: skip
    subprocess.run(
        [compiler, *FLAGS, "-o", program, SOURCE, library, f"-Wl,-rpath,{folder}"], check=True
    )
    return str(program)


def stacks_of(session: Recording) -> pl.DataFrame:
    """Samples with their status and the names of their frames, root first."""
    names = session["frames"].polars().unique("frame_id", keep="last")
    flat = session["stacks"].polars().explode("frame_ids")
    named = flat.join(names, left_on="frame_ids", right_on="frame_id", how="left")
    stacks = named.group_by("stack_id", maintain_order=True).agg(
        pl.col("function").reverse().fill_null("?").alias("names")
    )
    samples = session["cpu"].polars().with_columns(pl.col("stack_status").cast(pl.String))
    return samples.join(stacks, on="stack_id", how="left")
