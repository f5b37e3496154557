"""Numbers of goroutines, threads or anything else by stack: ``NAME profile: total N`` of Go."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy.build import Label, Legacy
from workbench.formats.pprof.legacy.maps import mappings
from workbench.formats.pprof.legacy.text import addresses, groups, names, refused, shown
from workbench.profiles.stack_texts import numbers

if TYPE_CHECKING:
    import polars as pl

_HEAD = re.compile(r"(\S{1,200}) profile: total \d+\s*$")
_SAMPLE = r"^(?<n>[0-9]+) @(?<stack>( 0x[0-9a-f]+)*)\s*$"
_LABELS = "# labels: "
MAX_LABELS = 1 << 20
_GO_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|[av])")
"""What Go's %q writes and JSON does not know (strconv.Quote)."""


def read(lines: pl.Series, maps: pl.Series) -> Legacy:
    """Read counts, with the labels of goroutines.

    Raises
    ------
    ImportFormatError
        A sample is not whole.
    """
    head = _HEAD.match(str(lines[0]))
    if not head:
        raise refused(f"its first line is {str(lines[0])[:80]!r}")
    body = lines.slice(1)
    ends = np.flatnonzero(body.str.starts_with("---").to_numpy())
    body = body.slice(0, int(ends[0])) if len(ends) else body
    found = groups(body, _SAMPLE)
    told = names(body)
    flat, offsets = addresses(found["stack"])
    kind = (head[1], "count")
    return Legacy(
        (kind,),
        numbers(found["n"], "A count").reshape(-1, 1),
        shown(flat - np.uint64(1), offsets, told),
        (*kind, 1),
        mappings=mappings(maps),
        names=told,
        labels=_labels(body),
    )


def _labels(lines: pl.Series) -> tuple[Label, ...]:
    """Return what the lines below samples tell of their labels: those of ``pprof.Do``."""
    marked = np.flatnonzero(lines.str.starts_with(_LABELS).to_numpy())
    if len(marked) > MAX_LABELS:
        raise refused(f"it has more than {MAX_LABELS:,} lines of labels")
    sample = np.cumsum(lines.str.contains(r"^[0-9]").to_numpy())[marked] - 1
    texts = lines.gather(marked).to_list()
    known = {text: _label_set(text.removeprefix(_LABELS)) for text in set(texts)}
    by_key: dict[str, tuple[list[int], list[str]]] = {}
    for owner, text in zip(sample.tolist(), texts, strict=True):
        for key, value in known[text].items() if owner >= 0 else ():
            rows, values = by_key.setdefault(key, ([], []))
            rows.append(owner)
            values.append(value)
    return tuple(
        Label(key, np.array(rows, np.int64), values) for key, (rows, values) in by_key.items()
    )


def _label_set(text: str) -> dict[str, str]:
    """Return labels written as ``{"key":"value", ...}``, each quoted as Go does."""
    try:
        made = json.loads(_GO_ESCAPE.sub(_escape, text))
    except (ValueError, RecursionError) as error:
        raise refused(f"labels cannot be {text[:80]!r}") from error
    if not isinstance(made, dict) or not all(isinstance(one, str) for one in made.values()):
        raise ImportFormatError(f"Labels cannot be {text[:80]!r}.")
    return made


def _escape(match: re.Match[str]) -> str:
    code = match[1]
    if code in "av":
        return {"a": "\\u0007", "v": "\\u000b"}[code]
    number = int(code[1:], 16)
    known = number < (0x80 if code[0] == "x" else 0x110000)  # above, a byte that is no UTF-8
    return json.dumps(chr(number if known else 0xFFFD))[1:-1]
