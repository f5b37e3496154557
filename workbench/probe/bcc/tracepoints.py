"""Structs of tracepoints for BCC programs, where tracefs is not mounted.

BCC makes ``struct tracepoint__CATEGORY__EVENT`` from the format that tracefs lists, if it is
mounted where BCC looks; :mod:`workbench.probe.tracefs` reads it without a mount.
"""

from __future__ import annotations

import re

from workbench.probe import support, tracefs

_USED = re.compile(
    r"\bTRACEPOINT_PROBE\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)|\bstruct\s+tracepoint__(\w+?)__(\w+)"
)
_FIELD = re.compile(
    r"^\s*field:(?P<type>.+?)\s*\b(?P<name>\w+)(?P<array>\[\w*\])?;\s*offset:(?P<offset>\d+);"
    r"\s*size:(?P<size>\d+);\s*signed:(?P<signed>\d);",
    re.MULTILINE,
)


def structs(source: str) -> str:
    """Return the structs of the tracepoints that a program names; "" where BCC makes them itself.

    Raises
    ------
    AttachError
        There is no such tracepoint, or no way to its format.
    """
    if support.tracefs() is not None:
        return ""
    used = {(a or c, b or d) for a, b, c, d in _USED.findall(source)}
    return "".join(struct(*each, tracefs.read(*each)[1]) for each in sorted(used))


def struct(category: str, name: str, text: str) -> str:
    """Return the struct of one tracepoint, by BCC's rules, on one line.

    Parameters
    ----------
    category, name : str
    text : str
        Its format, see Documentation/trace/events.rst. Members that are found at run time
        (``__data_loc``) are called ``data_loc_NAME``, as ``TP_DATA_LOC_READ`` expects.
    """
    members, at = [], 0
    for field in _FIELD.finditer(text):
        if field["name"].startswith("common_"):
            continue
        offset, size = int(field["offset"]), int(field["size"])
        if offset < at:
            continue
        if offset > at:
            members.append(f"char wb_gap_{at}[{offset - at}];")
        members.append(_member(field, size))
        at = offset + size
    body = " ".join(members)
    return f"struct tracepoint__{category}__{name} {{ {body} }} __attribute__((packed));\n"


def _member(field: re.Match[str], size: int) -> str:
    kind, name = field["type"].strip(), field["name"]
    if kind.startswith("__data_loc"):
        return f"int data_loc_{name};"
    if kind.startswith("__rel_loc"):
        return f"int rel_loc_{name};"
    if field["array"] or size not in (1, 2, 4, 8):
        count = field["array"].strip("[]") if field["array"] else ""
        width = size // int(count) if count.isdecimal() and int(count) else 1
        element = "char" if re.search(r"\bchar\b", kind) and width == 1 else f"u{8 * width}"
        return f"{element} {name}[{size // width}];"
    if "*" in kind:
        return f"{kind} {name};"
    return f"{'s' if field['signed'] == '1' else 'u'}{8 * size} {name};"
