"""Losses and overhead of a recording, summed so that a person can read them.

They come from the manifest, not from a table, so every recording has them; ``window`` and
``where`` do not change them: what was lost has no time and no name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.event_texts import WHOLE_STACKS

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

_MOST = 2**64 - 1
"""Sums of a damaged manifest stop here instead of overflowing."""


def loss_summary(rec: Recording) -> pl.DataFrame:
    """Return what each kind produced, delivered and dropped, summed over CPUs.

    Returns
    -------
    polars.DataFrame
        kind : str
        produced, delivered, dropped : u64
        share : f64
            dropped / produced; 0 when nothing was produced.
        reasons : str
            Such as "ring_full 12, map_full 3", most first; "" when nothing was dropped.
            In the order of the manifest.
    """
    import polars as pl

    totals: dict[str, dict[str, int]] = {}
    reasons: dict[str, dict[str, int]] = {}
    for entry in rec.manifest.losses:
        kind = str(entry["kind"])
        total = totals.setdefault(kind, {"produced": 0, "delivered": 0})
        for column in total:
            total[column] = min(total[column] + int(entry[column]), _MOST)
        counts = reasons.setdefault(kind, {})
        for reason, count in entry["dropped"].items():
            counts[reason] = min(counts.get(reason, 0) + int(count), _MOST)
    rows = [
        {
            "kind": kind,
            **total,
            "dropped": min(sum(reasons[kind].values()), _MOST),
            "share": _share(sum(reasons[kind].values()), total["produced"]),
            "reasons": _reasons(reasons[kind]),
        }
        for kind, total in totals.items()
    ]
    counts_type = dict.fromkeys(("produced", "delivered", "dropped"), pl.UInt64)
    schema = {"kind": pl.String, **counts_type, "share": pl.Float64, "reasons": pl.String}
    return pl.DataFrame(rows, schema=schema)


def stack_summary(rec: Recording) -> pl.DataFrame:
    """Return how whole the stacks of each kind are, summed over CPUs.

    Returns
    -------
    polars.DataFrame
        kind : str
        stacks, incomplete : u64
        share : f64
            incomplete / stacks.
        reasons : str
            Such as "image_missing 12, bad_rule 3", most first; "" when all are whole.
            Kinds without stacks are left out; in the order of the manifest.
    """
    import polars as pl

    counts: dict[str, dict[str, int]] = {}
    for entry in rec.manifest.losses:
        mine = counts.setdefault(str(entry["kind"]), {})
        for status, count in entry.get("stacks", {}).items():
            mine[status] = min(mine.get(status, 0) + int(count), _MOST)
    rows = []
    for kind, mine in counts.items():
        missing = {status: n for status, n in mine.items() if status not in WHOLE_STACKS}
        total, part = (min(sum(c.values()), _MOST) for c in (mine, missing))
        if total:
            rows.append((kind, total, part, _share(part, total), _reasons(missing)))
    schema = {"kind": pl.String, "stacks": pl.UInt64, "incomplete": pl.UInt64}
    return pl.DataFrame(
        rows, schema=schema | {"share": pl.Float64, "reasons": pl.String}, orient="row"
    )


def incomplete(rec: Recording, *kinds: str) -> str:
    """Return a sentence per kind with incomplete stacks, "" when all are whole.

    Such as "12 of 400 stacks of cpu are incomplete (3.0%: image_missing 12).".

    Parameters
    ----------
    rec : Recording
        Its manifest holds the counts.
    *kinds : str
        Kinds to look at; all of them when none is given.
    """
    return " ".join(
        f"{row['incomplete']:,} of {row['stacks']:,} stacks of {row['kind']} are incomplete"
        f" ({_percent(row['share'])}: {row['reasons']})."
        for row in stack_summary(rec).iter_rows(named=True)
        if row["incomplete"] and (not kinds or row["kind"] in kinds)
    )


def shortcomings(rec: Recording, *kinds: str) -> str:
    """Return what a view of stacks has to say: events that were lost, and incomplete stacks.

    Parameters
    ----------
    rec, *kinds
        As of :func:`lossy` and :func:`incomplete`, whose sentences these are.
    """
    return " ".join(filter(None, (lossy(rec, *kinds), incomplete(rec, *kinds))))


def overhead_summary(rec: Recording) -> pl.DataFrame:
    """Return the measured cost of each BPF program.

    Returns
    -------
    polars.DataFrame
        kind, program : str
        run_count : u64
        ns_per_run : f64
            Mean time of one run, measured by the kernel (BPF statistics).
        cpu_share : f64
            Share of one CPU that the program took while it was measured.
            Most expensive first.
    """
    import polars as pl

    schema = {
        "kind": pl.String,
        "program": pl.String,
        "run_count": pl.UInt64,
        "ns_per_run": pl.Float64,
        "cpu_share": pl.Float64,
    }
    rows = [{column: entry.get(column) for column in schema} for entry in rec.manifest.overhead]
    return pl.DataFrame(rows, schema=schema).sort("cpu_share", descending=True, nulls_last=True)


def lossy(rec: Recording, *kinds: str) -> str:
    """Return a sentence per kind that lost events, "" when none did.

    Such as "12 of 400 events of syscalls were lost (3.0%: ring_full 12).".

    Parameters
    ----------
    rec : Recording
        Its manifest holds the counts.
    *kinds : str
        Kinds to look at; all of them when none is given.
    """
    lost = loss_summary(rec)
    parts = [
        f"{row['dropped']:,} of {row['produced']:,} events of {row['kind']} were lost"
        f" ({_percent(row['share'])}: {row['reasons']})."
        for row in lost.iter_rows(named=True)
        if row["dropped"] and (not kinds or row["kind"] in kinds)
    ]
    return " ".join(parts)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"


def _reasons(counts: dict[str, Any]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in ordered if count)
