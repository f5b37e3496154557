"""Tables and buffers of a program that BCC compiled, with the types of what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.errors import MapError, ObjectFormatError
from workbench.probe import btf as b
from workbench.probe.bcc import text
from workbench.probe.bcc.describe import described
from workbench.probe.column_type import ColumnType, Opaque
from workbench.probe.column_type_btf import by_name, column_type, loaded_btf
from workbench.probe.map_access import PERF_EVENT_ARRAY, RINGBUF, STACK_TRACE
from workbench.probe.open_map import OpenMap
from workbench.probe.typed_map import TypedMap, typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.probe.bcc.compiler import Table
    from workbench.probe.btf import Btf


@dataclass(frozen=True)
class Buffer:
    """A perf or ring buffer of a program.

    Parameters
    ----------
    map : OpenMap
    event : ColumnType, optional
        What the program sends; None where that is not known.
    number : int
        Its place in the program's loss counters, -1 if it has none.
    """

    map: OpenMap
    event: ColumnType | None
    number: int

    @property
    def is_ring(self) -> bool:
        """Whether it is a ring buffer."""
        return self.map.type == RINGBUF


@dataclass
class Tables:
    """All that a program declared, by name.

    Parameters
    ----------
    tables : dict of str to TypedMap
    buffers : dict of str to Buffer
    counters : TypedMap, optional
        Where the program counts what its buffers were given; None where it does not.
    """

    tables: dict[str, TypedMap] = field(default_factory=dict)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    counters: TypedMap | None = None


def found(made: Sequence[Table], events: Mapping[str, str]) -> Tables:
    """Sort a program's tables, and tell their types.

    Parameters
    ----------
    made : sequence of Table
    events : mapping of str to str
        C type of what each buffer sends, where it cannot be told from the program.

    Raises
    ------
    ObjectFormatError
        The program has no such type.
    """
    by_map = {OpenMap.of(each.fd, each.name): each for each in made}
    # BCC numbers tables as they are declared, and makes them in the opposite order.
    maps = sorted(by_map, key=lambda m: -m.id)
    numbers = {each.name: i for i, each in enumerate(maps, 1)}
    parsed = {number: loaded_btf(number) for number in {m.btf_id for m in maps}}
    declared = [t for m in by_map if m.name.startswith(text.TYPE_PREFIX) for t in _types(m, parsed)]
    result = Tables()
    for each in maps:
        btf = parsed[each.btf_id]
        if each.name.startswith(text.TYPE_PREFIX):
            continue
        if each.name == text.COUNTERS:
            result.counters = typed(each, btf)
        elif each.type in (PERF_EVENT_ARRAY, RINGBUF):
            event = _event(by_map[each], events.get(each.name, ""), declared, parsed)
            result.buffers[each.name] = Buffer(each, event, numbers[each.name])
        else:
            result.tables[each.name] = _typed(each, by_map[each], btf)
    # Without the counters as number one, BCC numbers in another way than is known.
    if numbers.get(text.COUNTERS) != 1 or len(numbers) >= text.BUFFERS:
        result.counters = None
    return result


def _typed(table: OpenMap, made: Table, btf: Btf | None) -> TypedMap:
    if (btf is not None and table.value_type) or table.type == STACK_TRACE:
        return typed(table, btf)
    try:
        # A queue has no key.
        key: ColumnType = described(made.key) if table.key_size else Opaque(0)
        return TypedMap(table, key, described(made.value))
    except (ObjectFormatError, MapError):
        return typed(table)


def _event(
    buffer: Table,
    wanted: str,
    declared: Sequence[tuple[b.Type, ColumnType]],
    parsed: Mapping[int, Btf | None],
) -> ColumnType | None:
    """Find the type of what is sent to a buffer: the one with the members that BCC saw."""
    if wanted:
        name = wanted.removeprefix("struct ").removeprefix("union ")
        for btf in filter(None, parsed.values()):
            try:
                return by_name(btf, name)
            except ObjectFormatError:
                continue
        raise ObjectFormatError(f"The program has no type {wanted}.")
    fitting = [kind for t, kind in declared if [m.name for m in t.members] == buffer.sent]
    return fitting[0] if buffer.sent and fitting else None


def _types(table: OpenMap, parsed: Mapping[int, Btf | None]) -> list[tuple[b.Type, ColumnType]]:
    """The value type of a table, as BTF has it and as columns; empty if no column can hold it."""
    btf = parsed[table.btf_id]
    if btf is None:
        return []
    try:
        return [(btf.resolve(table.value_type)[0], column_type(btf, table.value_type))]
    except ObjectFormatError:
        return []
