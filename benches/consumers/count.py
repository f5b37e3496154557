"""The limit: a program that only counts. ``LOAD OBJECT PROGRAM...`` attaches these programs."""

from __future__ import annotations

import signal
import sys

from benches.consumers import fail, serve
from benches.harness import Load
from workbench.errors import WorkbenchError
from workbench.probe.objects import Object
from workbench.recorder import targets


def main(load: Load, path: str, *programs: str) -> None:
    with Object(path) as counter:
        for name, program in counter.programs.items():
            if name not in programs:
                program.leave_out()
        for name in ("wb_rings", "wb_perf"):
            if name in counter.maps:
                counter.maps[name].leave_out()
        counter.set("wb_by_tree", 1)
        counter.load()
        for pid in load.pids:
            counter.maps["wb_targets"].update(pid.to_bytes(4, "little"), targets.ACTIVE)
        for name in programs:
            counter.attach(counter.programs[name])
        counts = counter.global_array("wb_stats")["produced"]
        serve(load, lambda: {"delivered": int(counts.sum()) // len(programs), "dropped": 0})
        while True:
            signal.pause()


if __name__ == "__main__":
    try:
        main(Load.parse(sys.argv[1]), *sys.argv[2:])
    except WorkbenchError as error:
        fail(str(error))
