"""A probe as ``bpf/probe.bpf.c`` takes it: constants of the program, and the layout of its records.

Fields lie in the record in this order: keys of groups, columns, and what only filters or figures
need, each at a multiple of its size. They are fetched in another order: what a filter needs first,
so that an event that it refuses costs no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.errors import ParameterError
from workbench.probing.expressions import Metric, Reader, Term, Value
from workbench.probing.operands import EITHER, KERNEL, MAX_STEPS, NUMBER, TEXT, TEXT_AT, USER
from workbench.probing.points import FUNCTIONS, Point
from workbench.probing.request import Request
from workbench.probing.scopes import Scope, Site

# As in bpf/probe.bpf.c; a test compares them.
MAX_FETCHES, MAX_VARIANTS, MAX_TERMS, MAX_METRICS = 32, 8, 16, 8
DATA_BYTES, HIST_SLOTS, TEXT_BYTES = 1024, 64, 64
SOURCES = (
    *("context", "task", "constant", "pid", "tid", "uid", "gid", "cpu", "cgroup", "comm"),
    *("latency",),
)
READS = (NUMBER, TEXT, TEXT_AT)
MEMORIES = (KERNEL, USER, EITHER)
COMPARES = ("eq", "ne", "lt", "le", "gt", "ge")
FIGURES = {"sum": 0, "avg": 0, "min": 1, "max": 2, "hist": 3}
ENTRY, RETURN = "entry", "return"


@dataclass(frozen=True)
class Column:
    """A column that a probe makes: its name, what is read, where in the record, and its bit."""

    name: str
    value: Value
    place: int
    bit: int


@dataclass(frozen=True)
class Figure:
    """A figure of a group: where its words begin in the value."""

    name: str
    metric: Metric
    slot: int


@dataclass(frozen=True)
class Plan:
    """What a probe does.

    Parameters
    ----------
    point : Point
    sites : tuple of Site
    columns, keys : tuple of Column
        Of events; of groups.
    figures : tuple of Figure
    settings : mapping
        ``const volatile`` values of the object.
    entry, returns : bool
        Whether the entry, and the return, of a function are needed.
    data_bytes, sent_bytes, key_bytes, value_words : int
    """

    point: Point
    sites: tuple[Site, ...]
    columns: tuple[Column, ...]
    keys: tuple[Column, ...]
    figures: tuple[Figure, ...]
    settings: Mapping[str, Any]
    entry: bool
    returns: bool
    data_bytes: int
    sent_bytes: int
    key_bytes: int
    value_words: int

    @property
    def pair(self) -> bool:
        """Whether each event is a call whose entry and return are both waited for."""
        return self.entry and self.returns

    @property
    def groups(self) -> bool:
        """Whether the program counts in groups instead of sending events."""
        return bool(self.settings["aggregate"])


@dataclass
class _Slot:
    """A field to fetch: one for all that read the same."""

    value: Value
    stage: str
    needed: bool = False
    place: int = -1
    index: int = -1
    key: tuple[Any, ...] = ()


@dataclass
class _Fields:
    """The fields of one variant, in the order in which they were asked for."""

    default: str
    slots: dict[tuple[Any, ...], _Slot] = field(default_factory=dict)

    def take(self, value: Value, *, needed: bool = False) -> _Slot:
        operand = value.operand
        stage = self.default if operand.stage == "any" else operand.stage
        key = (
            *(operand.source, operand.chain, operand.memory, operand.bits, stage),
            *(operand.type.size, operand.type.signed, value.read, value.length),
        )
        slot = self.slots.setdefault(key, _Slot(value, stage, key=key))
        slot.needed |= needed
        return slot


@dataclass
class _Wanted:
    """What one variant reads: slots of keys, columns, terms and figures."""

    fields: _Fields
    keys: list[tuple[str, _Slot]]
    columns: list[tuple[str, _Slot]]
    terms: list[tuple[Term, _Slot]]
    figures: list[tuple[Metric, _Slot]]


def make(request: Request, scopes: Sequence[Scope]) -> Plan:
    """Return the plan of a probe.

    Raises
    ------
    ParameterError
        A field, filter or figure makes no sense there, or all of them need too much.
    """
    entry, returns = _stages(request, scopes[0])
    variants = [_wanted(request, scope, entry, returns) for scope in scopes]
    for wanted in variants:
        _order(wanted)
    first = variants[0]
    key_bytes, sent_bytes, data_bytes = _places(variants, request)
    figures, words = _figures(first)
    settings = _fetch_settings(variants)
    settings |= _term_settings(first)
    settings |= _group_settings(first, figures) if request.aggregate else {"aggregate": 0}
    machine = scopes[0].machine
    trampoline = request.point.kind in ("fentry", "fexit")
    settings |= {
        "data_bytes": data_bytes,
        "sent_bytes": sent_bytes,
        "pair": int(entry and returns),
        "frame_register": 0 if trampoline else machine.offsets[machine.stack],
        "frame_return": 0 if trampoline else machine.at_return,
    }
    return Plan(
        request.point,
        scopes[0].sites,
        tuple(Column(n, s.value, s.place, s.index) for n, s in first.columns),
        tuple(Column(n, s.value, s.place, s.index) for n, s in first.keys),
        tuple(figures),
        settings,
        entry,
        returns,
        data_bytes,
        sent_bytes,
        key_bytes,
        words,
    )


def _stages(request: Request, scope: Scope) -> tuple[bool, bool]:
    """Return whether the entry and the return of a function are needed."""
    point = request.point
    stages = {v.operand.stage for v in _all_values(request, Reader(scope, request.string_size))}
    if point.kind not in FUNCTIONS:
        if RETURN in stages:
            raise ParameterError(f"{point.kind} has no latency.", why="only functions return.")
        return True, False
    if RETURN in stages and scope.no_return == "the probe is inside the function":
        raise ParameterError("There is no latency.", why=f"{scope.no_return}.")
    latency = any(
        v.operand.source == "latency"
        for v in _all_values(request, Reader(scope, request.string_size))
    )
    returns = point.returns or RETURN in stages
    if point.kind == "fexit":  # has the arguments at hand
        return latency, True
    return not point.returns or latency or ENTRY in stages, returns


def _all_values(request: Request, reader: Reader) -> list[Value]:
    values = [reader.field(text) for _, text in _columns(request, reader)]
    values += [reader.field(text) for _, text in _keys(request)]
    values += [term.value for term in reader.filter(request.filter)]
    values += [reader.metric(text).value for text in request.figures]
    return values


def _columns(request: Request, reader: Reader) -> list[tuple[str, str]]:
    """Return names and texts of an event's fields."""
    if request.aggregate:
        return []
    fields = request.fields
    if fields is None:
        fields = tuple(reader.defaults())
        returned = reader.scope.returned
        if request.point.returns:
            fields = ("retval",) if returned is not None else ()
        if request.latency and returned is not None and not request.point.returns:
            fields += ("retval",)
    if request.latency:
        fields = (*fields, "latency=latency")
    return request.named(fields)


def _keys(request: Request) -> list[tuple[str, str]]:
    return request.named(request.by) if request.aggregate else []


def _wanted(request: Request, scope: Scope, entry: bool, returns: bool) -> _Wanted:
    reader = Reader(scope, request.string_size)
    late = returns and not entry
    fields = _Fields(RETURN if late else ENTRY)

    def take(value: Value, *, needed: bool = False) -> _Slot:
        if late and value.operand.stage == ENTRY:  # of fexit: they are there at the return
            value = replace(value, operand=replace(value.operand, stage=RETURN))
        return fields.take(value, needed=needed)

    return _Wanted(
        fields,
        [(name, take(reader.field(text))) for name, text in _keys(request)],
        [(name, take(reader.field(text))) for name, text in _columns(request, reader)],
        [(t, take(t.value, needed=True)) for t in reader.filter(request.filter)],
        [(m, take(m.value)) for m in map(reader.metric, request.figures)],
    )


def _order(wanted: _Wanted) -> None:
    """Number the fields in the order of fetching."""
    slots = wanted.fields.slots.values()
    ordered = sorted(slots, key=lambda slot: (slot.stage != ENTRY, not slot.needed))
    for index, slot in enumerate(ordered):
        slot.index = index
    _at_most(len(ordered), MAX_FETCHES, "fields")
    _at_most(len(wanted.terms), MAX_TERMS, "comparisons in its filter")
    _at_most(len(wanted.figures), MAX_METRICS, "figures")


def _at_most(count: int, most: int, what: str) -> None:
    if count > most:
        raise ParameterError(f"A probe can have {most} {what}, not {count}.")


def _places(variants: list[_Wanted], request: Request) -> tuple[int, int, int]:
    """Give each field its place in the record, the same one in all variants."""
    ends = (0, 0, 0)
    for wanted in variants:
        at = 0
        marks: list[int] = []
        rest = list(wanted.fields.slots.values())
        for part in ([s for _, s in wanted.keys], [s for _, s in wanted.columns], rest):
            for slot in sorted(part, key=_alignment, reverse=True):
                if slot.place < 0:
                    size = _alignment(slot)
                    at = -(-at // size) * size
                    slot.place, at = at, at + slot.value.size
            at = -(-at // 8) * 8
            if not marks and request.aggregate:
                at = max(at, 8)  # a map has a key: without fields, it is 0
            marks.append(at)
        ends = (marks[0], marks[1], marks[2])
    key, sent, all_of_it = ends
    if all_of_it > DATA_BYTES:
        raise ParameterError(
            f"The fields take {all_of_it} bytes, more than {DATA_BYTES}.",
            advice="Take fewer texts, or shorter ones: str(arg0, 32), string_size=32.",
        )
    return key, sent, max(all_of_it, 8)


def _alignment(slot: _Slot) -> int:
    return slot.value.size if slot.value.read == NUMBER else 1


def _fetch_settings(variants: list[_Wanted]) -> dict[str, Any]:
    total = MAX_FETCHES * MAX_VARIANTS
    names = ("source", "read", "size", "signed", "left", "right", "steps", "place", "length")
    arrays = {f"fetch_{name}": [0] * total for name in names}
    offsets, memory = [0] * (total * MAX_STEPS), [0] * (total * MAX_STEPS)
    for variant, wanted in enumerate(variants):
        for slot in wanted.fields.slots.values():
            at = variant * MAX_FETCHES + slot.index
            for name, number in _fetch(slot).items():
                arrays[f"fetch_{name}"][at] = number
            operand = slot.value.operand
            for step, (offset, whose) in enumerate(zip(operand.chain, operand.memory, strict=True)):
                offsets[at * MAX_STEPS + step] = offset
                memory[at * MAX_STEPS + step] = MEMORIES.index(whose)
    slots = list(variants[0].fields.slots.values())
    entry = [s for s in slots if s.stage == ENTRY]
    needed = sum(s.needed for s in entry)
    late = sum(s.needed for s in slots if s.stage == RETURN)
    return {
        **arrays,
        "fetch_offset": offsets,
        "fetch_memory": memory,
        "variants": len(variants),
        "entry_needed": needed,
        "entry_fetches": len(entry),
        "return_needed": len(entry) + late,
        "return_fetches": len(slots),
    }


def _fetch(slot: _Slot) -> dict[str, int]:
    """Return what the program is told of a field."""
    value, operand = slot.value, slot.value.operand
    low, width = operand.bits
    number = value.read == NUMBER
    return {
        "source": SOURCES.index(operand.source),
        "read": READS.index(value.read),
        "size": operand.type.size if number else 0,
        "signed": int(operand.type.signed),
        "left": 64 - low - width if width else 0,
        "right": 64 - width if width else 0,
        "steps": max(0, len(operand.chain) - 1),
        "place": slot.place,
        "length": value.length,
    }


def _term_settings(wanted: _Wanted) -> dict[str, Any]:
    """Return the filter: comparisons of the entry come first."""
    terms = sorted(wanted.terms, key=lambda term: term[1].stage != ENTRY)
    texts = bytearray(MAX_TERMS * TEXT_BYTES)
    for index, (term, _) in enumerate(terms):
        if isinstance(term.wanted, bytes):
            texts[index * TEXT_BYTES : index * TEXT_BYTES + len(term.wanted)] = term.wanted
    numbers = [t.wanted & (2**64 - 1) if isinstance(t.wanted, int) else 0 for t, _ in terms]
    return {
        "entry_terms": sum(slot.stage == ENTRY for _, slot in terms),
        "all_terms": len(terms),
        "term_compare": [COMPARES.index(t.compare) for t, _ in terms],
        "term_size": [0 if isinstance(t.wanted, bytes) else s.value.size for t, s in terms],
        "term_signed": [int(s.value.operand.type.signed) for _, s in terms],
        "term_place": [s.place for _, s in terms],
        "term_missing": [1 << s.index for _, s in terms],
        "term_mask": [t.mask for t, _ in terms],
        "term_value": numbers,
        "term_text": bytes(texts),
    }


def _figures(wanted: _Wanted) -> tuple[list[Figure], int]:
    """Return the figures with their places: count and unreadable come first."""
    at = 2
    found: list[Figure] = []
    for metric, _ in wanted.figures:
        name = _name_of(metric)
        if any(figure.name == name for figure in found):
            raise ParameterError(f"The aggregate {metric.kind}({metric.text}) is there twice.")
        found.append(Figure(name, metric, at))
        at += HIST_SLOTS if metric.kind == "hist" else 1
    return found, at


def _name_of(metric: Metric) -> str:
    from workbench.probing.request import column_name

    return f"{metric.kind}_{column_name(metric.text)}"


def _group_settings(wanted: _Wanted, figures: Iterable[Figure]) -> dict[str, Any]:
    slots = [slot for _, slot in wanted.figures]
    fallible = [s for _, s in (*wanted.keys, *wanted.figures) if s.value.can_fail]
    return {
        "aggregate": 1,
        "metrics": len(slots),
        "group_missing": sum({1 << slot.index for slot in fallible}),
        "metric_kind": [FIGURES[metric.kind] for metric, _ in wanted.figures],
        "metric_size": [slot.value.size for slot in slots],
        "metric_signed": [int(slot.value.operand.type.signed) for slot in slots],
        "metric_place": [slot.place for slot in slots],
        "metric_slot": [figure.slot for figure in figures],
    }
