"""The dictionaries of some requests of profiles as columns, checked: every index leads somewhere.

The tables of all requests stand one behind the other; indices become rows of these.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.formats.otlp.reading.messages import Integers, Messages, damaged
from workbench.formats.otlp.reading.profile_schema import (
    Field,
    Function,
    KeyValueAndUnit,
    Line,
    Link,
    Location,
    Mapping,
    ProfilesData,
    Stack,
)
from workbench.formats.otlp.reading.profile_schema import ProfilesDictionary as Tables
from workbench.formats.otlp.reading.read_values import of_each, pairs_of, values_of
from workbench.profiles.text_columns import taken

MAX_STRINGS = 1 << 22

Columns = dict[str, Any]


class Table:
    """One table of all dictionaries.

    Parameters
    ----------
    owner : numpy.ndarray
        int64, ascending: the request of each row.
    requests : int
    name : str
        For error messages.
    """

    def __init__(self, owner: Integers, requests: int, name: str) -> None:
        self.owner = owner
        self.size = np.bincount(owner, minlength=requests)
        self.base = np.cumsum(self.size) - self.size
        self._name = name

    def rows(self, index: Integers, request: Integers) -> Integers:
        """Return the row of each index of a request; -1 for index 0, which says "none".

        Raises
        ------
        ImportFormatError
            The table has no such entry.
        """
        if ((index < 0) | ((index > 0) & (index >= self.size[request]))).any():
            raise damaged(f"an index leads to no entry of {self._name}")
        return np.where(index > 0, self.base[request] + index, -1)

    def entries(self, index: Integers, request: Integers) -> Integers:
        """Return the row of each index, of index 0 as well.

        Raises
        ------
        ImportFormatError
            The table has no such entry.
        """
        if ((index < 0) | (index >= self.size[request])).any():
            raise damaged(f"an index leads to no entry of {self._name}")
        found: Integers = self.base[request] + index
        return found


class Dictionaries:
    """The dictionaries of some requests.

    Parameters
    ----------
    requests : Messages
        Of type ``ProfilesData``.

    Attributes
    ----------
    strings : pyarrow.LargeStringArray
    string, stack, attribute, link : Table
    keys : numpy.ndarray
        int64, of each attribute: row of its key, -1 for none.
    values : list
        Of each attribute: as of :func:`workbench.formats.otlp.reading.read_values.values_of`.
    mappings, locations, lines, functions : dict of arrays
        Texts are rows of ``strings``, and what refers to another table has its rows; -1 for none.
    mapping_attributes, location_attributes : (flat, owner)
        Rows of attributes, and the mapping or location that has each.
    line_offsets : numpy.ndarray
        int64, the lines of each location.
    stack_locations, stack_offsets : numpy.ndarray
        int64: rows of ``locations`` of each stack, leaf first.
    trace_ids, span_ids : list of str
        Of each link, in hex.

    Raises
    ------
    ImportFormatError
        They are damaged.
    """

    def __init__(self, requests: Messages) -> None:
        self._count = len(requests)
        self._known: dict[int, str] = {}
        self._dictionary, self._request = requests.children(ProfilesData.DICTIONARY)
        if not len(self._dictionary):
            raise damaged("it has no dictionary: it may be of another signal")
        self._strings()
        self._attributes()
        self._mappings()
        self._functions()
        self._locations()
        found, self.stack = self._table(Tables.STACK_TABLE)
        flat, self.stack_offsets = found.number_lists(Stack.LOCATION_INDICES)
        owner = np.repeat(self.stack.owner, np.diff(self.stack_offsets))
        self.stack_locations = self.location.entries(flat, owner)
        found, self.link = self._table(Tables.LINK_TABLE)
        self.trace_ids = of_each(len(found), *found.given(Link.TRACE_ID, "id"), "")
        self.span_ids = of_each(len(found), *found.given(Link.SPAN_ID, "id"), "")

    def text(self, row: int) -> str:
        """Return a string, "" for row -1."""
        if row < 0:
            return ""
        found = self._known.get(row)
        if found is None:  # a long one may be asked for very often
            found = self._known[row] = str(self.strings[row].as_py())
        return found

    def texts(self, rows: Integers) -> Any:
        """Return strings as a pyarrow array, "" for row -1.

        Raises
        ------
        ImportFormatError
            All together they are too long.
        """
        return taken(self.strings, rows).fill_null("")

    def key_rows(self, key: str) -> Any:
        """Return whether each attribute has this key."""
        import pyarrow.compute as pc

        same = np.asarray(pc.equal(self.strings, key))
        return np.append(same, False)[self.keys]

    def named(self, index: Integers, request: Integers) -> list[str]:
        """Return the string of each index of a request, "" for index 0.

        Raises
        ------
        ImportFormatError
            There is no such string.
        """
        return [self.text(row) for row in self.string.rows(index, request).tolist()]

    def pairs(self, holders: Messages, field: Field, request: Integers) -> list[dict[str, Any]]:
        """Return the ``KeyValue`` attributes of messages."""
        return pairs_of(holders, field, request, self)

    def _table(self, field: Field) -> tuple[Messages, Table]:
        found, owner = self._dictionary.children(field)
        return found, Table(self._request[owner], self._count, field.json)

    def _strings(self) -> None:
        import pyarrow as pa

        texts, owner = self._dictionary.texts(Tables.STRING_TABLE)
        if len(texts) > MAX_STRINGS:
            raise damaged(f"it has more than {MAX_STRINGS:,} strings")
        self.strings = pa.array(texts, pa.large_string())
        self.string = Table(self._request[owner], self._count, Tables.STRING_TABLE.json)

    def _attributes(self) -> None:
        found, self.attribute = self._table(Tables.ATTRIBUTE_TABLE)
        owner = self.attribute.owner
        self.keys = self.string.rows(found.numbers(KeyValueAndUnit.KEY_STRINDEX), owner)
        self.units = self.string.rows(found.numbers(KeyValueAndUnit.UNIT_STRINDEX), owner)
        self.values = values_of(found, KeyValueAndUnit.VALUE, owner, self)

    def _refer(self, found: Messages, field: Field, table: Table) -> tuple[Integers, Integers]:
        """Return the attributes of entries: rows, without "none", and which entry has each."""
        flat, offsets = found.number_lists(field)
        owner = np.repeat(np.arange(len(found)), np.diff(offsets))
        rows = self.attribute.rows(flat, table.owner[owner])
        return rows[rows >= 0], owner[rows >= 0]

    def _mappings(self) -> None:
        found, self.mapping = self._table(Tables.MAPPING_TABLE)
        file = found.numbers(Mapping.FILENAME_STRINDEX)
        self.mappings: Columns = {
            "start": found.numbers(Mapping.MEMORY_START).view(np.uint64),
            "offset": found.numbers(Mapping.FILE_OFFSET).view(np.uint64),
            "file": self.string.rows(file, self.mapping.owner),
        }
        self.mapping_attributes = self._refer(found, Mapping.ATTRIBUTE_INDICES, self.mapping)

    def _functions(self) -> None:
        found, self.function = self._table(Tables.FUNCTION_TABLE)
        fields = {
            "name": Function.NAME_STRINDEX,
            "system_name": Function.SYSTEM_NAME_STRINDEX,
            "file": Function.FILENAME_STRINDEX,
        }
        self.functions: Columns = {
            name: self.string.rows(found.numbers(field), self.function.owner)
            for name, field in fields.items()
        }
        self.functions["start_line"] = found.numbers(Function.START_LINE)

    def _locations(self) -> None:
        found, self.location = self._table(Tables.LOCATION_TABLE)
        owner = self.location.owner
        self.locations: Columns = {
            "mapping": self.mapping.rows(found.numbers(Location.MAPPING_INDEX), owner),
            "address": found.numbers(Location.ADDRESS).view(np.uint64),
        }
        self.location_attributes = self._refer(found, Location.ATTRIBUTE_INDICES, self.location)
        lines, holder = found.children(Location.LINES)
        function = lines.numbers(Line.FUNCTION_INDEX)
        self.lines: Columns = {
            "function": self.function.rows(function, owner[holder]),
            "line": lines.numbers(Line.LINE),
            "column": lines.numbers(Line.COLUMN),
        }
        counts = np.bincount(holder, minlength=len(found))
        self.line_offsets = np.concatenate([[0], np.cumsum(counts)])
