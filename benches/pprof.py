"""A recording of a million samples as a pprof profile, and back: seconds and bytes.

The recording is synthetic: random walks through a call graph, as deep as those of real programs.
Few stacks are what a short capture has; where every sample has a stack of its own, nothing can be
merged.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benches.harness import Plan, Result
from workbench.formats import export
from workbench.importing import import_file
from workbench.profiles.tables import frames_table, stacks_table
from workbench.recording import Recording
from workbench.store.manifest import Manifest
from workbench.store.save import save_tables

FEW, OWN = "workbench, 20,000 stacks", "workbench, each sample its own stack"
COLUMNS = {
    "export": "s to write",
    "plain": "s, uncompressed",
    "read": "s to read back",
    "megabytes": "MB",
    "note": "",
}
FEW_STACKS = 20_000
FRAMES = 5_000
DEPTH = 30
START = 1_760_000_000_000_000_000
OWN_SHARE = 4
"""Where nothing can be merged there are that many times fewer samples: it takes much memory."""


def recording(folder: Path, samples: int, stacks: int) -> Path:
    """Write a recording and return its path."""
    import pyarrow as pa

    rng = np.random.default_rng(1)
    depths = rng.integers(DEPTH // 2, DEPTH * 3 // 2, stacks)
    flat = rng.integers(0, FRAMES, int(depths.sum())).astype(np.uint32)
    names = [f"function_{number}" for number in range(FRAMES)]
    frames = frames_table(
        {
            "function": names,
            "file": [f"source_{number % 300}.c" for number in range(FRAMES)],
            "line": rng.integers(1, 2000, FRAMES).astype(np.uint32),
            "module": [f"/usr/lib/libwork-{number % 20}.so" for number in range(FRAMES)],
            "build_id": [f"{number % 20:040x}" for number in range(FRAMES)],
            "offset": rng.integers(0, 1 << 24, FRAMES).astype(np.uint64),
            "kind": np.where(rng.random(FRAMES) < 0.1, "inlined", "native").tolist(),
        }
    )
    order = np.arange(samples) if stacks == samples else rng.integers(0, stacks, samples)
    tid = rng.integers(100, 116, samples).astype(np.uint32)
    events = pa.table(
        {
            "ts": pa.array(START + np.arange(samples) * 1000).cast(pa.timestamp("ns", "UTC")),
            "cpu": np.zeros(samples, np.uint16),
            "pid": np.full(samples, 100, np.uint32),
            "tid": tid,
            "comm": pa.array([f"worker-{t}" for t in range(116)]).take(pa.array(tid))
            .dictionary_encode(),
            "stack_id": order.astype(np.uint32),
            "weight": np.ones(samples, np.uint32),
        }
    )  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(depths)])
    tables = {"cpu": events, "frames": frames, "stacks": stacks_table(flat, offsets)}
    manifest = Manifest(
        kinds={"cpu": {"hz": 999}}, start_ns=START, stop_ns=START + samples * 1000, state="complete"
    )
    rows: dict[str, Any] = {name: (t.schema, t.to_batches()) for name, t in tables.items()}
    return save_tables(manifest, rows, folder / f"{stacks}.wb")


def workbench_row(folder: Path, samples: int, stacks: int) -> dict[str, Any]:
    """Export and import a recording; the best of two."""
    path = recording(folder, samples, stacks)
    packed, plain, back = folder / "a.pb.gz", folder / "a.pb", folder / "back.wb"
    best: dict[str, float] = {}
    for _ in range(2):
        steps = {
            "export": lambda: export(Recording.open(path), "pprof", packed),
            "plain": lambda: export(Recording.open(path), "pprof-plain", plain),
            "read": lambda: import_file(packed, back, overwrite=True),
        }
        for step, do in steps.items():
            start = time.perf_counter()
            do()
            best[step] = min(best.get(step, 1e9), time.perf_counter() - start)
    return {**best, "samples": samples, "megabytes": packed.stat().st_size / 1e6}


def run(plan: Plan) -> Result:
    """Export and import ``plan.events`` samples (about a million); no kernel is needed."""
    samples = plan.events
    title = f"pprof: {samples:,} samples, {DEPTH} frames each"
    result = Result("pprof", title, COLUMNS)
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as name:
        folder = Path(name)
        own = samples // OWN_SHARE
        found = workbench_row(folder, samples, FEW_STACKS)
        result.rows.append({"name": FEW, **found, "note": "threads are labels"})
        found = workbench_row(folder, own, own)
        result.rows.append({"name": OWN, **found, "note": f"{own:,} samples, nothing to merge"})
    return result
