"""What can be read where a probe attaches, with its types, and the places themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from workbench.ctype import NOTHING, SIGNED_WORD, VOID, WORD, Function
from workbench.errors import AttachError
from workbench.probe import tracefs
from workbench.probe.attach import similar
from workbench.probe.kernel_types import kernel_types
from workbench.probing import tracepoint_format, usdt_arguments
from workbench.probing.operands import EITHER, KERNEL, USER, Operand
from workbench.probing.points import Point
from workbench.probing.registers import Arguments, Registers, in_a_row, in_registers, registers

MAX_VARIANTS = 8
BTF, DWARF, ABI = "the kernel's BTF", "the program's DWARF", "the platform's ABI"
FORMAT = "the tracepoint's format"
_POSITION = re.compile(r"arg(\d+)")


@dataclass(frozen=True)
class Site:
    """A place to attach to in a file: ``variant`` says where its arguments are."""

    path: str
    offset: int
    semaphore: int = 0
    variant: int = 0


@dataclass(frozen=True)
class Scope:
    """What can be read.

    Parameters
    ----------
    point : Point
    machine : Registers
    arguments : mapping of str to Operand
        By name.
    reasons : mapping of str to str
        Why arguments that exist cannot be read.
    returned : Operand or None
        The value that the function returns.
    no_return : str
        Why there is none.
    sites : tuple of Site
        Of probes in files.
    known : str
        What the types are known from; "" where they are not.
    order : tuple of str
        Names of the function's parameters, those that cannot be read among them.
    """

    point: Point
    machine: Registers
    arguments: Mapping[str, Operand] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    returned: Operand | None = None
    no_return: str = "only functions return something"
    sites: tuple[Site, ...] = ()
    known: str = ""
    order: tuple[str, ...] = ()

    def name_of(self, name: str) -> str:
        """Return the name of a parameter that is given by its number (``argN``), else `name`."""
        found = _POSITION.fullmatch(name)
        known = found is not None and int(found[1]) < len(self.order) and name not in self.order
        return self.order[int(found[1])] if found is not None and known else name

    def position(self, name: str) -> Operand | None:
        """Return the argument ``argN`` of a function of which nothing is known: a plain word."""
        found = _POSITION.fullmatch(name)
        if not found:
            return None
        number = int(found[1])
        point, machine = self.point, self.machine
        if point.kind in ("fentry", "fexit", "rawtp", "tracepoint", "perf", "usdt"):
            return None
        leads = EITHER if point.in_kernel else USER
        if number < len(machine.arguments):
            read = machine.read(machine.arguments[number], WORD, leads, f"arg{number}")
            return replace(read, origin=ABI)
        at = machine.on_stack + 8 * (number - len(machine.arguments))
        chain = (machine.offsets[machine.stack], at)
        return Operand("context", WORD, f"arg{number}", chain, (KERNEL, leads), leads, origin=ABI)


def scopes(point: Point, machine: str) -> list[Scope]:
    """Return what can be read: one scope, or one for each variant of a static probe.

    Raises
    ------
    AttachError
        There is no such place.
    """
    known = registers(machine)
    if point.kind == "usdt":
        return _static(point, known)
    makers = {
        "tracepoint": _tracepoint,
        "rawtp": _raw_tracepoint,
        "fentry": _trampoline,
        "fexit": _trampoline,
        "kprobe": _kernel,
        "kretprobe": _kernel,
        "uprobe": _program,
        "uretprobe": _program,
    }
    return [makers[point.kind](point, known)] if point.kind in makers else [Scope(point, known)]


def _tracepoint(point: Point, machine: Registers) -> Scope:
    _, text = tracefs.read(point.group, point.name)
    leads = USER if point.group == "syscalls" else EITHER
    found = tracepoint_format.parse(text, leads, FORMAT)
    return Scope(point, machine, found.operands, found.reasons, known=FORMAT)


def _raw_tracepoint(point: Point, machine: Registers) -> Scope:
    function = kernel_types().tracepoint(point.name)
    if function is None:
        raise AttachError(
            f"This kernel has no raw tracepoint {point.name}.",
            why="its BTF has none of that name",
            advice=similar(point.name),
        )
    arguments, _ = in_a_row(function, EITHER, BTF)
    order = tuple(name for name, _ in function.parameters)
    return replace(_with(point, machine, arguments, known=BTF), order=order)


def _trampoline(point: Point, machine: Registers) -> Scope:
    function = kernel_types().function(point.name)
    if function is None:
        return Scope(point, machine)  # attaching says what is wrong, and what is similar
    arguments, end = in_a_row(function, EITHER, BTF)
    returned = Operand("context", function.returns, "retval", (end,), (KERNEL,), EITHER, "return")
    scope = _with(point, machine, arguments, returned=returned, known=BTF)
    return replace(scope, order=tuple(name for name, _ in function.parameters))


def _kernel(point: Point, machine: Registers) -> Scope:
    name, plus, _ = point.name.partition("+")
    function = kernel_types().function(name)
    return _of_function(point, machine, function, bool(plus), EITHER, BTF)


def _program(point: Point, machine: Registers) -> Scope:
    from workbench.probing import dwarf_types
    from workbench.symbols import places

    place = places.find(point.path, point.name)
    inside = "+" in point.name and not point.name.endswith(("+0", "+0x0"))
    function = None if inside else dwarf_types.function(place.path, place.address)
    scope = _of_function(point, machine, function, inside, USER, DWARF)
    return replace(scope, sites=(Site(place.path, place.offset + place.cheaper),))


def _of_function(
    point: Point,
    machine: Registers,
    function: Function | None,
    inside: bool,
    leads: str,
    origin: str,
) -> Scope:
    """Return the scope of a function, of which BTF or DWARF may know nothing."""
    read = machine.read(machine.returns, SIGNED_WORD, leads, "retval")
    returned = replace(read, stage="return", origin=ABI)
    if inside:
        return Scope(point, machine, no_return="the probe is inside the function")
    if function is None:
        return Scope(point, machine, returned=returned)
    arguments = in_registers(function, machine, leads, origin)
    returned = replace(returned, type=function.returns, origin=origin)
    scope = _with(point, machine, arguments, returned=returned, known=origin)
    return replace(scope, order=tuple(name for name, _ in function.parameters))


def _with(
    point: Point,
    machine: Registers,
    arguments: Arguments,
    *,
    returned: Operand | None = None,
    known: str,
) -> Scope:
    reason = "only functions return something"
    if returned is not None and (returned.type.kind == VOID or returned.type == NOTHING):
        returned, reason = None, "the function returns nothing"
    return Scope(
        point, machine, arguments.operands, arguments.reasons, returned, reason, known=known
    )


def _static(point: Point, machine: Registers) -> list[Scope]:
    from workbench.symbols import usdt

    sites = usdt.find(point.path, point.group, point.name)
    texts = list(dict.fromkeys(site.arguments for site in sites))
    if len(texts) > MAX_VARIANTS:
        raise AttachError(
            f"{point.name} has its arguments at {len(texts)} different places.",
            why=f"a probe can have {MAX_VARIANTS}",
            advice=f"Put a uprobe on one of them: uprobe:{sites[0].path}:{sites[0].offset:#x}.",
        )
    variants = usdt_arguments.same_types([usdt_arguments.parse(t, machine) for t in texts])
    attached = tuple(
        Site(site.path, site.offset, site.semaphore, texts.index(site.arguments)) for site in sites
    )
    made = []
    for variant in variants:
        named = {f"arg{i}": a for i, a in enumerate(variant)}
        operands = {n: replace(a, text=n) for n, a in named.items() if isinstance(a, Operand)}
        reasons = {n: a for n, a in named.items() if isinstance(a, str)}
        found = Scope(
            point, machine, operands, reasons, sites=attached, known=usdt_arguments.ORIGIN
        )
        made.append(found)
    return made
