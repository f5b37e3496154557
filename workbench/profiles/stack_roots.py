"""Roots of stacks that are no functions: the process and the thread, as py-spy and perf say.

py-spy (0.4) writes ``process 12:"job.py"`` for a process and each of its ancestors with
``--subprocesses``, and ``thread (15): name`` with ``--threads``: ``thread (0x7f..)`` where it knows
pthread's handle only, and no name where there is none. ``stackcollapse-perf.pl --tid`` and inferno
write ``comm-pid/tid``. Their ``--pid``, ``comm-pid``, looks like a name with a number and stays a
frame, as ``comm`` alone does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

_COMMANDS = r'^(process \d{1,10}:".*"(?:;|$))?'
"""Commands may hold ``;`` and ``"``; no frame of py-spy ends in a quote."""
_THREAD = r"(?:thread \((0x[0-9A-Fa-f]{1,16}|\d{1,10})\)(?:: ([^;]*(?:;[^;]*[^;)])*))?(?:;|$))?"
"""Names of threads may hold ``;``, too: frames of py-spy end in ``)``."""
_PY_SPY = f"{_COMMANDS}{_THREAD}(.*)$"
_PID = r'^(?:.*";)?process (\d{1,10}):"'
"""The last process is the one that was sampled, those before it are its ancestors."""
_PROGRAM = r'^(?:.*";)?process \d{1,10}:"(?:[^ "]*/)?([^ "/]+)'
_PERF = r"^([^;]*)-(\d{1,10})/(\d{1,10})(?:;(.*))?$"
_LOOKED_AT = 100
PY_SPY_ROOT = r'^(?:process \d{1,10}:".*"|thread \((?:0x[0-9A-Fa-f]{1,16}|\d{1,10})\)(?:: .*)?)$'
"""A frame of py-spy's speedscope profiles that is a process or a thread."""


def without_roots(texts: pl.Series) -> tuple[pl.Series, dict[str, Any]]:
    """Take processes and threads off folded stacks.

    Parameters
    ----------
    texts : polars.Series
        ``root;...;leaf`` of each stack.

    Returns
    -------
    polars.Series
        What is left of each.
    dict of str to pyarrow.Array
        ``pid``, ``tid`` and ``comm``, as far as the roots tell: empty for other stacks. Null where
        one does not tell.
    """
    import polars as pl

    name = texts.name or "stack"
    one = pl.col(name)
    frame = texts.alias(name).to_frame()
    spied = one.str.contains(r'^(?:process \d{1,10}:"|thread \((?:0x[0-9A-Fa-f]+|\d+)\))')
    if frame.select(spied.any()).item():
        found = one.str.extract_groups(_PY_SPY)
        number, named, rest = (found.struct[at] for at in (1, 2, 3))
        same = named.drop_nulls().first().over(number)  # it was given its name later, or lost it
        parts = frame.select(
            rest=rest,
            pid=found.struct[0].str.extract(_PID).cast(pl.UInt32, strict=False),
            tid=number.cast(pl.UInt32, strict=False),
            comm=pl.coalesce(
                named, same, pl.format("thread {}", number), found.struct[0].str.extract(_PROGRAM)
            ),
        )
    elif _all_match(texts.head(_LOOKED_AT), _PERF) and _all_match(texts, _PERF):
        found = one.str.extract_groups(_PERF)
        parts = frame.select(
            rest=found.struct[3].fill_null(""),
            pid=found.struct[1].cast(pl.UInt32, strict=False),
            tid=found.struct[2].cast(pl.UInt32, strict=False),
            comm=found.struct[0],
        )
    else:
        return texts, {}
    known = [each for each in parts.columns[1:] if parts[each].null_count() < len(parts)]
    return parts["rest"].alias(name), {each: parts[each].to_arrow() for each in known}


def _all_match(texts: pl.Series, pattern: str) -> bool:
    return bool(texts.str.contains(pattern).all())
