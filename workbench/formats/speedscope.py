"""speedscope: the samples of each thread in the order of time, for speedscope.app.

The format is described by ``file-format-schema.json`` of speedscope, version 1.25. Many tools write
it, such as py-spy, rbspy and .NET's dotnet-trace.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats._speedscope_write import write
from workbench.formats.format import Format, stack_tables
from workbench.profiles.content import too_large, whole
from workbench.profiles.json_text import parsed
from workbench.profiles.names import unit_of
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.speedscope import evented, sampled
from workbench.profiles.stack_roots import PY_SPY_ROOT
from workbench.profiles.stack_texts import named_tables
from workbench.profiles.tables import check_kinds

if TYPE_CHECKING:
    from workbench.profiles.speedscope import Weighed


def recognise(head: bytes) -> float:
    """Tell by the schema, or by what only such files have."""
    begin = head.lstrip()
    if not begin.startswith(b"{"):
        return 0.0
    named = b"speedscope.app/file-format-schema.json" in head
    shaped = b'"shared"' in head and b'"frames"' in head and b'"profiles"' in head
    return 1.0 if named else 0.6 * shaped


def read(file: IO[bytes]) -> Profile:
    """Read all profiles: each is a thread, and those of one unit are one table.

    The table is ``cpu`` for counts and times, where the file does not tell another one, as those of
    the workbench do.

    Raises
    ------
    ImportFormatError
        It is no speedscope file, or damaged.
    """
    document = parsed(whole(file, _LIMIT))
    frames, profiles = _parts(document)
    spied = _text(document.get("exporter")).startswith("py-spy")
    found = [_profile(one, len(frames)) for one in profiles]
    if not sum(len(one.weight) for _, _, one in found):
        raise ImportFormatError("The file holds no samples.")
    table, stacks, firsts = _tables(frames, [one for _, _, one in found], spied)
    kind = _kind(document)
    units = dict.fromkeys(unit for _, unit, one in found if len(one.weight))
    check_kinds(len(units))
    samples = []
    for unit in units:
        mine = [(name, one, at) for (name, its, one), at in zip(found, firsts, strict=True)
                if its == unit and len(one.weight)]  # fmt: skip
        samples.append(_samples(mine, unit, kind))
    return Profile(table, stacks, tuple(samples), facts=_facts(document))


def _parts(document: Any) -> tuple[list[Any], list[Any]]:
    shared = document.get("shared") if isinstance(document, dict) else None
    frames = shared.get("frames") if isinstance(shared, dict) else None
    profiles = document.get("profiles") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not isinstance(profiles, list):
        raise ImportFormatError("The file has no frames or no profiles.")
    if not all(isinstance(one, dict) for one in (*frames, *profiles)):
        raise ImportFormatError("A frame or a profile is no object.")
    if len(profiles) > MAX_PROFILES:
        raise too_large(f"It has more than {MAX_PROFILES:,} profiles.")
    return frames, profiles


def _profile(profile: dict[str, Any], frames: int) -> tuple[str, str, Weighed]:
    """Return name, unit and samples of a profile."""
    kind, unit, name = (profile.get(key) for key in ("type", "unit", "name"))
    readers = {"sampled": sampled, "evented": evented}
    if not isinstance(kind, str) or kind not in readers or not isinstance(unit, str):
        raise ImportFormatError(f"A profile of type {str(kind)[:20]!r} is not known.")
    return _text(name), _text(unit), readers[kind](profile, frames)


def _text(value: Any) -> str:
    """Return a text, "" for anything else, without lone halves of surrogate pairs."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _tables(frames: list[Any], parts: list[Weighed], spied: bool) -> tuple[Any, Any, list[int]]:
    """Return the tables of frames and stacks, and the first stack of each profile.

    Frames of py-spy that are a process or a thread are left out: names of profiles say the same.
    Its native frames have a module where others have a file.
    """
    import polars as pl

    lines = [one.get("line") for one in frames]
    numbers = [n if type(n) is int and 0 < n < 1 << 32 else None for n in lines]
    named = pl.DataFrame(
        {
            "function": pl.Series([_text(one.get("name")) for one in frames], dtype=pl.String),
            "file": pl.Series([_text(one.get("file")) or None for one in frames], dtype=pl.String),
            "line": pl.Series(numbers, dtype=pl.UInt32),
        }
    )
    python = pl.col("file").str.contains(r"\.pyx?$|^<.*>$").fill_null(False)
    native = pl.col("file").is_not_null() & pl.lit(spied)
    named = named.with_columns(
        kind=pl.when(python).then(pl.lit("python")).when(native).then(pl.lit("native"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip
    roots: list[int] = []
    if spied:
        module = ~python & native & pl.col("line").is_null()
        named = named.with_columns(
            file=pl.when(~module).then("file"),
            module=pl.when(module).then(pl.col("file").replace("?", "")).fill_null(""),
        )
        root = pl.col("file").is_null() & pl.col("function").str.contains(PY_SPY_ROOT)
        roots = named.with_row_index("at").filter(root & ~module)["at"].to_list()
    stacks = pl.concat([pl.Series([], dtype=pl.List(pl.Int64)), *(one.stacks for one in parts)])
    rows = stacks.alias("name").to_frame().with_row_index("stack")
    entries = rows.filter(pl.col("name").list.len() > 0).explode("name")
    if roots:
        entries = entries.filter(~pl.col("name").is_in(roots))
    firsts = np.concatenate([[0], np.cumsum([len(one.stacks) for one in parts])])
    return *named_tables(named, entries, len(stacks)), firsts[:-1].tolist()


def _kind(document: dict[str, Any]) -> str:
    """Return the table that a file of the workbench was made of."""
    if not _text(document.get("exporter")).startswith("ebpf-workbench"):
        return ""
    return _text(document.get("name")).rpartition(" ")[2]


def _samples(parts: list[tuple[str, Weighed, int]], unit: str, kind: str) -> Samples:
    """Return the samples of all profiles of one unit."""
    name, factor = unit_of("count" if unit == "none" else unit)
    weights = np.concatenate([one.weight for _, one, _ in parts]) * factor
    amounts = np.rint(weights)
    if name == "1" and not np.array_equal(amounts, weights):
        raise ImportFormatError("A weight is no whole number.", why=f"Its unit is {unit!r}.")
    if float(np.abs(amounts).sum()) >= 2.0**63:
        raise ImportFormatError("The weights together are larger than 64 bits hold.")
    title = "samples" if name == "1" else kind or {"ns": "time"}.get(name, unit)
    value = Value(title, "count" if name == "1" else name, amounts.astype(np.int64))
    stacks = np.concatenate([one.stack + first for _, one, first in parts])
    columns = _threads([name for name, _, _ in parts], [len(one.weight) for _, one, _ in parts])
    return Samples(
        stacks.astype(np.uint32), (value,), columns, table=kind or _TABLES.get(name, unit)
    )


def _threads(names: list[str], counts: list[int]) -> dict[str, Any]:
    """Return comm, pid and tid of samples, as far as the names of the profiles tell them."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    texts = names
    for pattern in (_OURS, _PY_SPY):
        known = [one for one in map(pattern.fullmatch, names) if one]
        if len(known) < len(names):
            continue
        texts = [one["comm"] or f"thread {one['tid']}" for one in known]
        for column in ("pid", "tid"):
            numbers = np.array([_number(one[column]) for one in known])
            if int(numbers.min()) >= 0 and int(numbers.max()) < 1 << 32:
                columns[column] = pa.array(np.repeat(numbers, counts).astype(np.uint32))
        break
    where = pa.array(np.repeat(np.arange(len(texts)), counts).astype(np.int32))
    columns["comm"] = pa.DictionaryArray.from_arrays(where, pa.array(texts, pa.string()))
    return columns


def _number(text: str | None) -> int:
    """Return an id, -1 where it is none that a process or thread can have."""
    return int(text) if text is not None and text.isdecimal() else -1


def _facts(document: dict[str, Any]) -> dict[str, str]:
    texts = {key: _text(document.get(key))[:200] for key in ("name", "exporter")}
    return {key: text for key, text in texts.items() if text}


_LIMIT = 1 << 28
"""Bytes of JSON: its objects take ten times as much."""
MAX_PROFILES = 1 << 14
"""Profiles of a file: one for each thread."""
_OURS = re.compile(r"(?P<comm>.*) \((?P<pid>\d{1,10})/(?P<tid>\d{1,10})\)", re.S)
"""Names of our own profiles: of the thread, process and thread id."""
_PY_SPY = re.compile(
    r'(?:Process (?P<pid>\d{1,10}) )?Thread (?P<tid>\d{1,10}|0x[0-9A-Fa-f]{1,16}) "(?P<comm>.*)"',
    re.S,
)
"""Names of py-spy's: the process with ``--subprocesses``; a handle where no thread id is known.
Their samples leave out what a thread was idle without a gap, so that they have no times."""
_TABLES = {"1": "cpu", "ns": "cpu"}

FORMAT = Format(
    "speedscope",
    ".speedscope.json",
    "stacks of each thread over time: speedscope.app, py-spy",
    write,
    read,
    recognise,
    tables=stack_tables,
)
