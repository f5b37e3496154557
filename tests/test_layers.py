"""Imports only point down: in the picture that CONTRIBUTING.md draws, and without circles."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "workbench"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(node: ast.AST) -> set[str]:
    """Modules of the package that a file imports when it runs, in functions as well."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if is_for_types(child):
            continue
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                found.add(whole if whole in FILES else child.module)
        else:
            found |= imported(child)
    return {name for name in found if name in FILES}


GRAPH = {
    name: imported(ast.parse(path.read_text())) - {name} for name, path in sorted(FILES.items())
}


def layers() -> list[list[list[str]]]:
    """Lines of the picture, from top to bottom; parts that never import each other are apart."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    lines = re.search(r"Imports point down only:\n\n((?:    .*\n)+)", text)[1].splitlines()
    names = [re.split(r" {2,}", line.strip())[0] for line in lines]
    return [[side.strip().split(", ") for side in line.split(" | ")] for line in names]


LEVELS = {
    part: (level, side)
    for level, line in enumerate(layers())
    for side, parts in enumerate(line)
    for part in parts
}


def part_of(module: str) -> str:
    return (module.split(".") + [""])[1]


def test_the_picture_names_what_there_is():
    assert len(layers()) > 9
    there = {part_of(module) for module in FILES}
    assert set(LEVELS) <= there
    packages = {part_of(module) for module in FILES if module.count(".") > 1}
    assert packages - {"demo", "data"} <= set(LEVELS)  # workloads and a table are no layers


def test_imports_point_down():
    up = [
        f"{module} imports {other}"
        for module, others in GRAPH.items()
        for other in others
        if {part_of(module), part_of(other)} <= set(LEVELS) and part_of(module) != part_of(other)
        if not allowed(LEVELS[part_of(module)], LEVELS[part_of(other)])
    ]
    assert not up, "\n".join(up)


def allowed(mine: tuple[int, int], other: tuple[int, int]) -> bool:
    return mine[0] < other[0] or mine == other


def test_there_is_no_circle():
    # A package's face hands names on; who imports a module of it imports the face as well.
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
