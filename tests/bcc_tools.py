"""Debian's BCC tools as cells: their programs, on workloads of the tests."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

import workbench as wb

ROOT = Path(__file__).parents[1]
SENTINEL = "4194303"
"""A pid that no process has here; the cell's is put in its place."""
NEEDED = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(
        shutil.which("opensnoop-bpfcc") is None, reason="bpfcc-tools is not installed"
    ),
]


def module(path: Path) -> ModuleType:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


TOOLS = module(ROOT / "tools" / "bcc_tools.py")


def cell_of(tool: str, *words: Any, attach: Any = (), **options: Any) -> Any:
    """A cell of the program that a tool has with these arguments."""
    (program,) = TOOLS.examine(tool, *map(str, words), take=True)
    places = program["attach"] | dict(attach)
    text = program["text"].replace(SENTINEL, "WB_PID")
    return wb.bpf(text, attach=places, cflags=program["cflags"], **options)


def sent(cell: Any, name: str = "") -> pl.DataFrame:
    """What came out of a buffer, nothing of which was lost; of its only one without a name."""
    rows = cell.losses.rows(named=True)
    assert [row for row in rows if row["produced"] != row["delivered"]] == []
    names = [row["buffer"] for row in rows]
    return cell[name or names[0]]


def undisturbed(run: Callable[[], Any]) -> Any:
    """Run a cell until the kernel has left out none of its runs, which it seldom does."""
    for _ in range(5):
        cell = run()
        if not cell.missed:
            return cell
    raise AssertionError(f"the kernel keeps leaving out runs: {cell.missed}")


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection on a port of this machine, which is given; its errors come here."""
    failed: list[Exception] = []

    def serve() -> None:
        try:
            with listener.accept()[0] as connection:
                connection.settimeout(60)
                handle(connection)
        except Exception as error:
            failed.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()
    assert not failed, failed
