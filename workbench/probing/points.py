"""Where a probe attaches, as the user writes it: ``KIND:...``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from workbench.errors import ParameterError
from workbench.probe.perf_event import CLOCKS, EVENTS

FORMS = {
    "kprobe": "kprobe:FUNCTION[+OFFSET]",
    "kretprobe": "kretprobe:FUNCTION",
    "fentry": "fentry:FUNCTION",
    "fexit": "fexit:FUNCTION",
    "uprobe": "uprobe:FILE:FUNCTION[+OFFSET] or uprobe:FILE:OFFSET",
    "uretprobe": "uretprobe:FILE:FUNCTION",
    "usdt": "usdt:FILE:[PROVIDER:]NAME",
    "tracepoint": "tracepoint:CATEGORY:NAME",
    "rawtp": "rawtp:NAME",
    "perf": "perf:EVENT[:RATE]",
}
ALIASES = {"raw_tp": "rawtp", "tp_btf": "rawtp", "raw_tracepoint": "rawtp", "tp": "tracepoint"}
RETURNS = ("kretprobe", "uretprobe", "fexit")
FUNCTIONS = ("kprobe", "kretprobe", "fentry", "fexit", "uprobe", "uretprobe")
DEFAULT_RATE = {True: 99, False: 1000}
"""Hz of clocks; of other perf events, one sample in that many."""
MAX_RATE = 1 << 40


@dataclass(frozen=True)
class Point:
    """Where to attach.

    Parameters
    ----------
    kind : str
        One of :data:`FORMS`.
    name : str
        Function, tracepoint or perf event, or the static probe's name.
    path : str
        The file, of ``uprobe``, ``uretprobe`` and ``usdt``.
    group : str
        Category of a tracepoint, provider of a static probe ("" for any).
    rate : int
        Of ``perf``: in Hz for clocks, else events for a sample.
    """

    kind: str
    name: str
    path: str = ""
    group: str = ""
    rate: int = 0

    @property
    def returns(self) -> bool:
        """Whether it is the return of a function."""
        return self.kind in RETURNS

    @property
    def in_kernel(self) -> bool:
        """Whether pointers lead into the kernel's memory."""
        return not self.path

    @property
    def table(self) -> str:
        """A name for its table, from what it is put on."""
        bare = re.sub(r"[^a-z0-9]+", "_", self.name.partition("(")[0].lower()).strip("_")[:40]
        return f"probe_{bare}" if not bare or bare[0].isdigit() else bare


def parse(text: str) -> Point:
    """Return what a text such as ``uprobe:/lib/libc.so.6:malloc`` means.

    Raises
    ------
    ParameterError
        It has another form than its kind, or there is no such kind.
    """
    kind, _, rest = text.strip().partition(":")
    kind = ALIASES.get(kind, kind)
    if kind not in FORMS:
        close = get_close_matches(kind, [*FORMS, *ALIASES], 1, 0.5)
        raise ParameterError(
            f"There is no kind of probe {kind!r}.",
            why=f"The kinds are: {', '.join(FORMS)}.",
            advice=f"Did you mean {FORMS[ALIASES.get(close[0], close[0])]}?" if close else "",
        )
    parts = rest.split(":")
    if kind in ("uprobe", "uretprobe"):
        path, _, name = rest.partition(":")  # names of C++ have colons, too
        found = Point(kind, name, path) if path and name else None
    elif kind == "usdt":
        found = Point(kind, parts[-1], parts[0], ":".join(parts[1:-1])) if len(parts) > 1 else None
    elif kind == "tracepoint":
        found = Point(kind, parts[1], group=parts[0]) if len(parts) == 2 else None
    elif kind == "perf":
        found = _perf(parts, text)
    else:
        found = Point(kind, rest)
    if found is None or not found.name or (kind == "usdt" and not found.path):
        raise ParameterError(f"{text!r} is no probe.", advice=f"Its form is {FORMS[kind]}.")
    return found


def _perf(parts: list[str], text: str) -> Point | None:
    name = parts[0]
    if name not in EVENTS:
        close = get_close_matches(name, EVENTS, 3, 0.4) or list(EVENTS)
        raise ParameterError(
            f"There is no perf event {name!r}.", advice=f"There are: {', '.join(close)}."
        )
    rate = DEFAULT_RATE[name in CLOCKS]
    if len(parts) == 2:
        rate = int(parts[1]) if parts[1].isdigit() else 0
    if len(parts) > 2 or not 0 < rate < MAX_RATE:
        raise ParameterError(
            f"{text!r} has no rate.",
            advice=f"Its form is {FORMS['perf']}: Hz of cpu-clock and task-clock, of the others "
            "one sample in that many events.",
        )
    return Point("perf", name, rate=rate)
