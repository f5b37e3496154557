"""``python -m workbench.demo``, which is what ``make demo`` runs.

Captures the bundled workload and leaves the session, a report and an executed notebook. Where
eBPF is not permitted it says why and does the same from the recorded session.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import workbench as wb
from workbench import demo
from workbench.demo import notebook, summary
from workbench.errors import (
    KernelError,
    SessionNotFoundError,
    StorageError,
    TargetError,
    WorkbenchError,
)
from workbench.session import Session

ROOT = demo.DATASET.parents[1]
NOTEBOOK = ROOT / "notebooks" / "01-first-capture.ipynb"
OUTPUT = ROOT / "build" / "demo"
DATASET_MAX_BYTES = 3_000_000


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(prog="python -m workbench.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the capture")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR")
    parser.add_argument("--dataset", type=Path, metavar="FILE.wb", help="only record, to this file")
    return parser


def capture(output: Path, seconds: float, requests: Path | None = None) -> Session:
    """Capture the workload, and exactly its processes.

    Raises
    ------
    WorkbenchError
        See `workbench.capture`; TargetError when the workload itself failed.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    if requests is not None:
        requests.unlink(missing_ok=True)
    session: Session = wb.capture(
        demo.KINDS,
        command=demo.command(seconds, json=requests),
        hz=demo.HZ,
        output=output,
        overwrite=True,
    )
    if requests is not None and not requests.exists():
        raise TargetError("The bundled workload ended early.", why="It wrote no summary.")
    return session


def recorded(output: Path) -> Session:
    """Put the recorded session of the workload at `output`; return it.

    Raises
    ------
    SessionNotFoundError
    """
    if not demo.DATASET.is_file():
        raise SessionNotFoundError(
            f"There is no {demo.DATASET}.", advice="Only a checkout of the repository has it."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(demo.DATASET, output)
    return wb.open(output)


def capture_or_recorded(output: Path, seconds: float) -> Session:
    """Capture where that is permitted; else say why it is not and take the recorded session."""
    reason = demo.why_not_live()
    if not reason:
        print(f"Capturing {' and '.join(demo.KINDS)} of the bundled workload for {seconds:g} s.")
        try:
            return capture(output, seconds, output.with_name("requests.json"))
        except KernelError as error:
            reason = str(error)
    print(f"{reason}\nTaking the recorded session {_relative(demo.DATASET)}.")
    os.environ["WORKBENCH_DEMO"] = "dataset"  # for the notebook
    return recorded(output)


def record_dataset(path: Path, seconds: float) -> list[Session]:
    """Record the sessions of the three workloads, beside each other.

    The programs run as copies at a neutral path, because their paths become part of the sessions.

    Raises
    ------
    WorkbenchError
    """
    folder = Path(tempfile.gettempdir()) / "slow-api"
    folder.mkdir(exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = [
            wb.capture(kinds, command=command, output=output, overwrite=True)
            for output, kinds, command in _recordings(path, seconds, folder)
        ]
    finally:
        shutil.rmtree(folder)
    for session in made:
        if (size := session.path.stat().st_size) > DATASET_MAX_BYTES:
            raise StorageError(
                f"{session.path.name} has {size:,} bytes, more than {DATASET_MAX_BYTES:,}.",
                advice="Record fewer seconds.",
            )
    return made


def _recordings(
    path: Path, seconds: float, folder: Path
) -> list[tuple[Path, dict[str, dict[str, Any]], list[str]]]:
    """Return where what is captured of which command, with copies of the programs."""
    binary, orders, shop = (
        shutil.copy(program, folder / Path(program).name)
        for program in (demo.program()[0], demo.ORDERS, demo.SHOP)
    )
    python = "/usr/bin/python3"
    port = demo.free_udp_port()
    buying = [python, str(shop), *demo.shop_command(port)[2:]]
    # Without preload: the library's path would be in the session.
    memory = {"sample_bytes": demo.SHOP_SAMPLE_BYTES, "preload": False}
    return [
        (
            path,
            {"cpu": {"hz": demo.HZ}, "syscalls": {}},
            [str(binary), *demo.command(seconds)[1:]],
        ),
        (
            path.with_name(demo.ORDERS_DATASET.name),
            demo.ORDERS_KINDS,
            [python, str(orders), *demo.orders_command(seconds)[2:]],
        ),
        (
            path.with_name(demo.SHOP_DATASET.name),
            demo.shop_kinds(port) | demo.SHOP_PROBES,
            buying,
        ),
        (path.with_name(demo.SHOP_MEMORY_DATASET.name), {"memory": memory}, buying),
    ]


def run(output: Path, seconds: float) -> None:
    """Capture, report, run the notebook, say where everything is and what it shows.

    Raises
    ------
    WorkbenchError
    """
    session = capture_or_recorded(output / "slow-api.wb", seconds)
    report = session.report(output / "report.html")
    executed = notebook.execute(NOTEBOOK, output / NOTEBOOK.name)
    page = notebook.to_html(executed, executed.with_suffix(".html"))
    print("\n" + "\n".join(summary.summarise(session)) + "\n")
    for label, path in (
        ("session", session.path),
        ("report", report),
        ("notebook", executed),
        ("as a page", page),
    ):
        print(f"{label:<10} {_relative(path)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        if options.dataset:
            for session in record_dataset(options.dataset, options.seconds):
                print(session)
        else:
            run(options.output.absolute(), options.seconds)
    except WorkbenchError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _relative(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    sys.exit(main())
