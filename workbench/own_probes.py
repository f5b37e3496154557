"""`wb.probe`: the user's own probes, without a line of C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench import kinds
from workbench.client import capture
from workbench.errors import ParameterError
from workbench.probing.request import Request, texts

_MANY = ("fields", "aggregate", "by")


def probe(
    point: str | Sequence[str] | Mapping[str, str | Mapping[str, Any]],
    *,
    fields: str | Sequence[str] | Mapping[str, str] | None = None,
    filter: str = "",
    aggregate: str | Sequence[str] | None = None,
    by: str | Sequence[str] | Mapping[str, str] | None = None,
    latency: bool = False,
    stacks: bool = False,
    string_size: int = 128,
    max_groups: int = 4096,
    name: str | None = None,
    **options: Any,
) -> Any:
    """Capture what happens at a place of the kernel or of a program, as a dataframe.

    The session has a table for the probe: of its events, with time, process, thread and CPU, or
    of groups that were counted in the kernel, once a second and at the end, cumulative.

    Parameters
    ----------
    point : str, sequence of str, or mapping
        Where: ``kprobe:FUNCTION``, ``kretprobe:FUNCTION``, ``fentry:FUNCTION``,
        ``fexit:FUNCTION``, ``uprobe:FILE:FUNCTION``, ``uretprobe:FILE:FUNCTION`` (FUNCTION+OFFSET
        and plain offsets in FILE, too; FILE is a path, a program, or a library as ``libc``),
        ``usdt:FILE:[PROVIDER:]NAME``, ``tracepoint:CATEGORY:NAME``, ``rawtp:NAME``,
        ``perf:EVENT[:RATE]``. Several give one session with a table each; a mapping names the
        tables, and gives each its own parameters: ``{"reads": {"probe": ..., "fields": ...}}``.
    fields : str, sequence of str, or mapping of name to expression, optional
        What to take, see :mod:`workbench.probing.expressions`: ``args.file.f_inode.i_ino``,
        ``str(arg0)``, ``retval``, ``comm``. Types come from the kernel's BTF, the tracepoint's
        format, the program's DWARF or the probe's note. By default all arguments, of returns
        ``retval``. What cannot be read is null, also memory of a program that is not resident
        at that moment, such as a constant that it has not used before.
    filter : str
        Comparisons of fields with constants, joined by ``and``: ``size >= 4096 and flags & 2``.
    aggregate : str or sequence of str, optional
        Count in the kernel: ``count``, ``sum(x)``, ``avg(x)``, ``min(x)``, ``max(x)``, and
        ``hist(x)`` (64 powers of two).
    by : str, sequence of str, or mapping, optional
        The fields that make the groups.
    latency : bool
        Wait for the function to return; the column ``latency`` tells how long it took. A field,
        filter or figure that names ``latency``, or ``retval`` beside arguments, does so as well.
    stacks : bool
        Take the stack, native and Python, with each event.
    string_size : int
        Bytes for each text, its zero byte included.
    max_groups : int
        Groups there is room for; events of further ones are counted as dropped.
    name : str, optional
        Of the table; by default what the probe is put on.
    **options
        Those of :func:`workbench.capture`: ``pid``, ``command``, ``duration``, ``output``, ...

    Returns
    -------
    Session or Capture
        As :func:`workbench.capture` does.

    Raises
    ------
    ParameterError
        The texts make no sense, or name what is not there.
    AttachError, NotPermittedError
        There is no such place, or the kernel refuses it; the text says what would work.

    Examples
    --------
    >>> s = wb.probe("uprobe:libc:malloc", fields={"size": "arg0"},       # doctest: +SKIP
    ...              filter="arg0 >= 4096", command=["python3", "job.py"])
    >>> s.events.polars()                                                 # doctest: +SKIP
    >>> wb.probe("tracepoint:syscalls:sys_enter_openat", aggregate="count",
    ...          by="str(filename)", pid=pid, duration=5)                 # doctest: +SKIP
    """
    given = {
        **{"fields": fields, "filter": filter, "aggregate": aggregate, "by": by},
        **{"latency": latency, "stacks": stacks},
        **{"string_size": string_size, "max_groups": max_groups},
    }
    return capture(_named(point, given, name), **options)


def _named(
    point: str | Sequence[str] | Mapping[str, str | Mapping[str, Any]],
    given: Mapping[str, Any],
    name: str | None,
) -> dict[str, dict[str, Any]]:
    """Return the parameters of each probe by the name of its table.

    Raises
    ------
    ParameterError
    """
    if isinstance(point, Mapping):
        own = {n: {"probe": p} if isinstance(p, str) else dict(p) for n, p in point.items()}
        return {n: checked(n, {**given, **parameters}) for n, parameters in own.items()}
    single = isinstance(point, str) or not isinstance(point, Sequence)
    points = (point,) if single else tuple(point)
    if not points or not all(isinstance(each, str) for each in points):
        raise ParameterError(
            f"{point!r} is no probe.", advice='Give a text such as "tracepoint:sched:sched_switch".'
        )
    if name is not None and len(points) > 1:
        raise ParameterError("One name cannot be that of several probes.", advice="Give a dict.")
    found: dict[str, dict[str, Any]] = {}
    for text in points:
        parameters = {**given, "probe": text}
        table = name or _free(Request.of(_filled(parameters)).point.table, found)
        found[table] = checked(table, parameters)
    return found


def _free(table: str, taken: Mapping[str, Any]) -> str:
    """Return a name for a table that nothing else has."""
    names = {*taken, *kinds.all_kinds(), *kinds.SIDE_TABLES}
    if table not in names:
        return table
    return next(each for n in range(2, 1000) if (each := f"{table}_{n}") not in names)


def _filled(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = {n: texts(v, n) if n in _MANY else v for n, v in parameters.items()}
    return kinds.own_probe("probe").check(given)


def checked(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a probe's parameters, complete, as far as they can be checked without the kernel.

    Raises
    ------
    ParameterError
    """
    kinds.find(name, parameters)
    filled = _filled(parameters)
    Request.of(filled)
    return filled
