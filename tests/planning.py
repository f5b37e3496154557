"""Plans of probes on a function that does not exist: long f(i8 a, u64 b, i32 c, void *path)."""

from __future__ import annotations

from workbench.ctype import NUMBERS, Function, pointer_to
from workbench.kinds import own_probe
from workbench.probing import operands, plan
from workbench.probing.points import parse
from workbench.probing.registers import MACHINES, in_registers
from workbench.probing.request import Request
from workbench.probing.scopes import Scope

NAMES = [(name, NUMBERS[kind]) for name, kind in (("a", "i8"), ("b", "u64"), ("c", "i32"))]
FUNCTION = Function((*NAMES, ("path", pointer_to(None))), NUMBERS["i64"])


def scope(point="uprobe:p:f"):
    machine = MACHINES["x86_64"]
    found = in_registers(FUNCTION, machine, "user", "DWARF")
    returned = operands.Operand("context", NUMBERS["i64"], "retval", (80,), ("kernel",), "user",
                                "return")  # fmt: skip
    return Scope(parse(point), machine, found.operands, found.reasons, returned, known="DWARF",
                 order=tuple(name for name, _ in FUNCTION.parameters))  # fmt: skip


def planned(point="uprobe:p:f", scopes=None, **given):
    request = Request.of(own_probe("x").check({"probe": point, **given}))
    return plan.make(request, scopes or [scope(point)])
