"""Cut the dictionary of OTLP profiles to what the profiles in a request refer to.

Messages of profiles point into tables by fields whose names say which table
(``opentelemetry/proto/profiles/v1development/profiles.proto``): ``stack_index``,
``attribute_indices``, ``name_strindex``, ... Index 0 of each table is the empty value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_TABLES = {
    "mapping": "mapping_table",
    "location": "location_table",
    "function": "function_table",
    "link": "link_table",
    "attribute": "attribute_table",
    "stack": "stack_table",
}
_STRINGS = "string_table"

Visit = Callable[[str, int], int]
"""Takes a table and an index into it, gives the index to put in its place."""


def shrink(request: Any) -> None:
    """Remove what is not referred to from the dictionary, and renumber the references.

    Parameters
    ----------
    request : ExportProfilesServiceRequest
        Changed in place.
    """
    dictionary = request.dictionary
    old = {name: getattr(dictionary, name) for name in (*_TABLES.values(), _STRINGS)}
    new: dict[str, dict[int, int]] = {name: {0: 0} for name in old}
    waiting: list[tuple[str, int]] = [(name, 0) for name in old if len(old[name])]

    def number(table: str, index: int) -> int:
        if not 0 <= index < len(old[table]):
            raise ValueError(f"index {index} is outside of {table}")
        found = new[table].get(index)
        if found is None:
            found = new[table][index] = len(new[table])
            waiting.append((table, index))
        return found

    for profiles in request.resource_profiles:
        _walk(profiles, number)
    # What the tables refer to among themselves; each entry is visited once.
    while waiting:
        table, index = waiting.pop()
        if table != _STRINGS:
            _walk(old[table][index], number)
    for table, kept in new.items():
        _select(old[table], sorted(kept, key=kept.__getitem__))


def _select(table: Any, indices: list[int]) -> None:
    """Leave only some entries of a table, in the order of `indices`."""
    if not len(table):
        return
    if table and isinstance(table[0], str):
        entries = [table[index] for index in indices]
    else:
        entries = [type(table[0]).FromString(table[index].SerializeToString()) for index in indices]
    del table[:]
    table.extend(entries)


@cache
def _plan(descriptor: Descriptor) -> tuple[list[tuple[str, str, bool]], list[tuple[str, bool]]]:
    """Return the references of a message type (field, table, repeated) and its messages."""
    references, messages = [], []
    for field in descriptor.fields:
        stem, _, end = field.name.rpartition("_")
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            messages.append((field.name, field.is_repeated))
        elif end == "strindex":
            references.append((field.name, _STRINGS, field.is_repeated))
        elif end in {"index", "indices"} and stem in _TABLES:
            references.append((field.name, _TABLES[stem], field.is_repeated))
    return references, messages


def _walk(message: Any, visit: Visit) -> None:
    """Renumber all references in a message and what it holds."""
    references, messages = _plan(message.DESCRIPTOR)
    for name, table, repeated in references:
        value = getattr(message, name)
        if repeated:
            if value:
                value[:] = [visit(table, index) for index in value]
        elif value:  # 0 stays 0, whether it is set or not
            setattr(message, name, visit(table, value))
    for name, repeated in messages:
        if repeated:
            for child in getattr(message, name):
                _walk(child, visit)
        elif message.HasField(name):
            _walk(getattr(message, name), visit)
