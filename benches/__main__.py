"""``python -m benches [--quick] [--only NAME]``: measure, print tables, write JSON."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from benches import (
    decode,
    drain,
    first_event,
    memory_cost,
    otlp_encode,
    otlp_send,
    pprof,
    programs_and_maps,
    report,
    stacks_complete,
    stacks_cost,
    stacks_start,
)
from benches.harness import ROOT, Plan, Result
from workbench.probe import support

BENCHES = {
    "entry": drain.run_entry,
    "entry-busy": drain.run_entry_busy,
    "drain": drain.run,
    "drain-busy": drain.run_busy,
    "first-event": first_event.run,
    "decode": decode.run,
    "attach": programs_and_maps.run_attach,
    "maps": programs_and_maps.run_maps,
    "stacks-start": stacks_start.run,
    "stacks-cost": stacks_cost.run,
    "stacks-complete": stacks_complete.run,
    "memory-cost": memory_cost.run,
    "otlp-encode": otlp_encode.run,
    "otlp-send": otlp_send.run,
    "pprof": pprof.run,
}
NEEDS_NO_KERNEL = {"decode", "otlp-encode", "otlp-send", "pprof"}
OUTPUT = ROOT / "build" / "bench" / "results.json"
MIN_WIDTH = 170
"""Columns of the tables where the output is no terminal."""


def main(arguments: list[str] | None = None) -> int:
    """Run the benches that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--only", action="append", choices=BENCHES, help="only this bench")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="JSON file to write")
    given = parser.parse_args(arguments)
    plan = Plan.quick() if given.quick else Plan()
    width = None if sys.stdout.isatty() else MIN_WIDTH
    console = Console(width=width, highlight=False)
    missing = [check.name for check in support.checks() if check.required and not check.ok]
    results: dict[str, Result] = {}
    start = time.monotonic()
    load = os.getloadavg()[0]
    if load > 0.5:
        console.print(f"The machine is not idle (load {load:.1f}): take the figures as a hint.")
    for name in given.only or BENCHES:
        if missing and name not in NEEDS_NO_KERNEL:
            console.print(f"{name}: no capture can run here: {', '.join(missing)}")
            continue
        results[name] = BENCHES[name](plan)
        console.print(report.table(results[name]))
        for note in results[name].notes:
            console.print(note)
    report.show(results, console)
    report.write(given.output, report.document(results, plan))
    console.print(f"{time.monotonic() - start:.0f} s. JSON: {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
