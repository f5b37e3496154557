"""From the call to the first event in a dataframe, and what the time goes into."""

from __future__ import annotations

import time

from benches.child import Child
from benches.harness import BenchError, Plan, Result, middle, workload

WORKBENCH, RECORDER, BCC, BPFTRACE = "workbench", "its recorder's steps", "BCC", "bpftrace"

COLUMNS = {"total": "seconds", "steps": "of which", "note": ""}
ROWS = {
    WORKBENCH: (("first_row", "session"), "capture() to a row in polars"),
    RECORDER: (("first_row", "recorder"), "measured one by one, up to attached"),
    BCC: (("bcc_callbacks", "first"), "BPF(text=...) to the first callback"),
    BPFTRACE: (("bpftrace_csv", "first"), "start of the command to the first line"),
}


def run(plan: Plan) -> Result:
    """Measure each start ``plan.starts`` times, in turn, and take medians."""
    result = Result("first-event", "Time to the first event (median)", COLUMNS)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ROWS}
    failed: dict[str, str] = {}
    with workload() as load:
        for _ in range(plan.starts):
            for name, ((module, mode), _note) in ROWS.items():
                if name in failed:
                    continue
                try:
                    with Child(module, str(load), mode, str(time.monotonic())) as child:
                        found[name].append(child.hear())
                except BenchError as error:
                    failed[name] = str(error)
    for name, (_command, note) in ROWS.items():
        row = dict(middle(found[name])) if found[name] else {}
        steps = {key: value for key, value in row.items() if key != "total"}
        text = ", ".join(f"{key} {value:.3f}" for key, value in steps.items())
        runs = [r["total"] for r in found[name]]
        result.rows.append(
            {"name": name, "total": row.get("total"), "steps": text, "note": failed.get(name, note)}
            | {"seconds": steps, "runs": runs}
        )
    return result
