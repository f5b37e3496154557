"""``workbench maps``: the maps of this user's own running captures and cells, and their content."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import MapError

if TYPE_CHECKING:
    from workbench.probe.open_map import OpenMap

PROC = Path("/proc")
# enum bpf_map_type, include/uapi/linux/bpf.h
TYPES = (
    *("unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array"),
    *("stack_trace", "cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps"),
    *("hash_of_maps", "devmap", "sockmap", "cpumap", "xskmap", "sockhash", "cgroup_storage"),
    *("reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack", "sk_storage"),
    *("devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter"),
    *("user_ringbuf", "cgrp_storage", "arena"),
)
DUMPED = {"hash", "array", "percpu_hash", "percpu_array", "stack_trace", "lru_hash"}
DUMPED |= {"lru_percpu_hash", "lpm_trie"}


def add_to(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "map", nargs="?", help="number or name of a map to dump; without it they are listed"
    )
    parser.add_argument("--pid", type=int, help="maps of this process only")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.set_defaults(run=maps)


def maps(args: Namespace) -> int:
    """List maps, or print the content of one."""
    pids = [args.pid] if args.pid else own_processes()
    if args.map is None:
        rows = listing(pids)
        if args.json:
            print(json.dumps(rows, indent=1))
        else:
            _print(rows)
        return 0
    with found(args.map, pids) as raw:
        _dump(raw, as_json=args.json)
    return 0


def own_processes(proc: Path = PROC) -> list[int]:
    """Return this user's processes that hold maps, but for this one."""
    from workbench.probe.open_map import held_by

    me = os.getpid()
    mine = []
    for entry in proc.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == me:
            continue
        try:
            if entry.stat().st_uid == os.geteuid() and _is_ours(entry):
                mine.append(int(entry.name))
        except OSError:  # it has ended
            continue
    return [pid for pid in sorted(mine) if held_by(pid, proc)]


def _is_ours(process: Path) -> bool:
    """Whether it is a recorder, or a Python with cells: it has mapped a library for eBPF."""
    words = (process / "cmdline").read_bytes().split(b"\0")
    if b"workbench.recorder" in words:
        return True
    text = (process / "maps").read_text(errors="replace")
    return "python" in (process / "comm").read_text() and "libbpf.so" in text


def listing(pids: list[int]) -> list[dict[str, Any]]:
    """Return what is known of the maps of processes, without their content."""
    from workbench.probe.open_map import OpenMap, held_by

    rows = []
    for pid in pids:
        for number in held_by(pid):
            try:
                raw = OpenMap.by_id(number)
            except MapError:  # gone meanwhile
                continue
            with raw:
                kind = kind_of(raw)
                rows.append(
                    {
                        "id": raw.id,
                        "name": raw.name,
                        "type": kind,
                        "key_bytes": raw.key_size,
                        "value_bytes": raw.value_size,
                        "max_entries": raw.max_entries,
                        "pid": pid,
                    }
                )
    return rows


def kind_of(raw: OpenMap) -> str:
    """Return the name of a map's type."""
    return TYPES[raw.type] if raw.type < len(TYPES) else str(raw.type)


def found(wanted: str, pids: list[int]) -> OpenMap:
    """Open the one map of that number or name that the processes hold.

    Raises
    ------
    MapError
        None of theirs, or several.
    """
    from workbench.probe.open_map import OpenMap

    rows = {row["id"]: row for row in listing(pids)}
    fitting = [n for n, row in rows.items() if wanted in (str(n), row["name"])]
    if len(fitting) == 1:
        return OpenMap.by_id(fitting[0])
    if fitting:
        raise MapError(
            f"There are {len(fitting)} maps named {wanted}.",
            advice=f"Give the number of one: {', '.join(map(str, fitting))}.",
        )
    raise MapError(
        f"There is no map {wanted} of a capture or cell of this user.",
        advice="`workbench maps` lists them, with --pid those of any process.",
    )


def _dump(raw: OpenMap, *, as_json: bool) -> None:
    import polars as pl

    from workbench.probe.typed_map import typed

    kind = kind_of(raw)
    if kind not in DUMPED:
        why = "reading would take its values away" if kind in ("queue", "stack") else ""
        raise MapError(f"Map {raw.name} is a {kind}, which cannot be dumped.", why=why)
    frame = typed(raw).polars()
    if as_json:
        sys.stdout.write(frame.write_ndjson())
        return
    with pl.Config(tbl_rows=1000, tbl_cols=-1, fmt_str_lengths=80, tbl_hide_dataframe_shape=True):
        print(frame)


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("No capture and no cell of this user runs.")
        return
    print(f"{'id':>8} {'pid':>8} {'type':<17}{'entries':>12} {'key':>6} {'value':>8}  name")
    for row in rows:
        print(
            f"{row['id']:>8} {row['pid']:>8} {row['type']:<17}{row['max_entries']:>12,} "
            f"{row['key_bytes']:>6} {row['value_bytes']:>8}  {row['name']}"
        )
