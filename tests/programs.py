"""Programs that tests compile, run and look into."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def compiled(directory: Path, name: str, source: str, *command: str) -> Path:
    """Compile C text with a command such as ``gcc -O1``; skip where there is no compiler."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    path = directory / name
    text = directory / f"{name}.c"
    text.write_text(source)
    subprocess.run([command[0], "-o", path, text, *command[1:]], check=True)
    return path


def lines_of(*command: object) -> list[str]:
    """Return the output lines of a command."""
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@contextmanager
def running(*command: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program that says "ready" on a line of its own, until the end of the block."""
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "ready":
                break
        yield process
    finally:
        process.kill()
        process.communicate()
