"""perf.data: what ``perf record`` writes, read by the installed perf.

The file names programs of the machine where it was recorded: perf looks for their symbols here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from workbench.errors import ImportFormatError
from workbench.formats import perf_script
from workbench.formats.format import Format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.profiles.profile import Profile

MAGICS = (b"PERFILE2", b"2ELIFREP", b"PERFFILE")
"""``PERF_MAGIC`` in both byte orders, and the first format (tools/perf/util/header.c)."""
LIMIT_S = 300
_ADVICE = "Run `perf script > FILE` where it was recorded, and import that."


def recognise(head: bytes) -> float:
    """Tell by the magic number."""
    return float(head.startswith(MAGICS))


def read(file: IO[bytes]) -> Profile:
    """Have perf print the samples, and read what it prints.

    Raises
    ------
    ImportFormatError
        perf is not installed, cannot read the file, or takes longer than five minutes.
    """
    perf = shutil.which("perf")
    if perf is None:
        raise ImportFormatError(
            "There is no perf here, which reads perf.data.",
            advice=f"Install it (Debian: linux-perf). Or: {_ADVICE}",
        )
    with _named(file) as path, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # Inlined functions would be looked up by one addr2line for each address.
        # Whatever field is asked for, tracepoints lose the stacks that they have by default.
        command = [perf, "script", "-f", "-i", path, "-F", "+pid,+ip,+sym,+symoff,+dso", "--ns",
                   "--no-inline", "--show-lost-events"]  # fmt: skip
        # Nothing is fetched from elsewhere, and no pager or configuration is asked.
        clean = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        environment = {**clean, "LC_ALL": "C", "PERF_CONFIG": os.devnull}
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
                timeout=LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ImportFormatError(
                f"perf does not read the file within {LIMIT_S} s.", advice=_ADVICE
            ) from error
        except OSError as error:
            raise ImportFormatError("perf cannot be run.", why=str(error)) from error
        if done.returncode:
            err.seek(0)
            said = err.read(2000).decode("utf-8", "replace").strip()
            raise ImportFormatError("perf cannot read the file.", why=said, advice=_ADVICE)
        if not os.fstat(out.fileno()).st_size:
            raise ImportFormatError("perf finds no sample in the file.")
        return perf_script.read(out)


@contextmanager
def _named(file: IO[bytes]) -> Iterator[str]:
    """Give the path of a file: its own, or that of a copy."""
    name = getattr(file, "name", None)
    if isinstance(name, str) and os.path.exists(name):  # noqa: PTH110  a name as it was opened
        yield name
        return
    with tempfile.NamedTemporaryFile(prefix="workbench-", suffix=".data") as copy:
        file.seek(0)
        shutil.copyfileobj(file, copy)
        copy.flush()
        yield copy.name


FORMAT = Format("perf-data", ".data", "what perf record writes", None, read, recognise)
