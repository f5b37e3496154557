"""The dictionary of one request of profiles: what its samples point to, and nothing else.

Entry 0 of each table is its zero value: an index of 0 says that there is none
(``opentelemetry/proto/profiles/v1development/profiles.proto``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp import wire
from workbench.formats.otlp.profiles.symbols import FRAME_TYPES, Numbers, Symbols, spread
from workbench.frames.labels import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from workbench.formats.otlp.lives import Trace

MAPPING, LOCATION, FUNCTION, LINK, STRING, ATTRIBUTE, STACK = range(1, 8)
"""Fields of ``ProfilesDictionary``."""
_TYPE, _BUILD = "profile.frame.type", "process.executable.build_id.gnu"
_ZERO = {number: wire.field(number, b"") for number in range(1, 8)}


class Numbering:
    """New numbers, from 1 on, for those of a larger table that are used."""

    def __init__(self, used: Any, size: int) -> None:
        self.used: Numbers = np.unique(np.asarray(used, np.int64))
        self.used = self.used[self.used >= 0]
        self._new = np.zeros(size + 1, np.int64)  # the last is for -1
        self._new[self.used] = np.arange(1, len(self.used) + 1)

    def __call__(self, old: Any) -> Numbers:
        """Return the new numbers, 0 for -1."""
        return np.asarray(self._new[old])


class Dictionary:
    """Makes the message ``ProfilesDictionary``.

    Parameters
    ----------
    symbols : Symbols
        Of the session.
    stacks : array of int
        Numbers of the stacks that samples use; -1 for none.
    texts : sequence of str
        Fixed texts that the profile itself uses.
    """

    def __init__(self, symbols: Symbols, stacks: Any, texts: Sequence[str]) -> None:
        self._symbols = s = symbols
        self.stack = Numbering(stacks, len(s.stack_ends) - 1)
        self._stack_sizes, stack_locations = _ranges(
            s.stack_ends, s.stack_locations, self.stack.used
        )
        self._location = Numbering(stack_locations, len(s.location_ends) - 1)
        self._stack_locations = stack_locations
        self._sizes, self._frames = _ranges(s.location_ends, s.location_frames, self._location.used)
        self._hosts = self._frames[np.cumsum(self._sizes) - 1]
        self._function = Numbering(s.function[self._frames], len(s.function_name))
        self._mapping = Numbering(s.mapping[self._hosts], len(s.mapping_file))
        functions, mappings = self._function.used, self._mapping.used
        used = [
            [s.text_of[text] for text in texts],
            s.function_name[functions],
            s.function_file[functions],
            s.mapping_file[mappings],
        ]
        self._types = list(
            dict.fromkeys(
                FRAME_TYPES[KINDS[kind]]
                for kind in np.unique(s.kind[self._hosts]).tolist()
                if KINDS[kind] in FRAME_TYPES
            )
        )
        builds = (s.mapping_build[number] for number in mappings.tolist())
        self._builds = list(dict.fromkeys(build for build in builds if build))
        keys = [
            s.text_of[key]
            for key, values in ((_TYPE, self._types), (_BUILD, self._builds))
            if values
        ]
        numbers = np.concatenate([np.asarray(each, np.int64) for each in (*used, keys)])
        self._text = Numbering(numbers[numbers > 0], len(s.texts))
        self._attributes: list[Any] = []
        self._attribute_count = 1
        self._links = _ZERO[LINK]

    def text(self, text: str) -> int:
        """Return the index of a fixed text."""
        return int(self._text(self._symbols.text_of[text]))

    def attributes(self, key: str, values: pa.BinaryArray) -> int:
        """Add attributes with these ``AnyValue`` messages; return the index of the first."""
        start = self._attribute_count
        head = wire.integer(1, self.text(key))
        self._attributes.append(wire.message(ATTRIBUTE, head, wire.message(2, values)))
        self._attribute_count += len(values)
        return start

    def links(self, trace: Trace, span: Any) -> None:
        """Add the links: index 1 is the first."""
        rows = np.empty(
            len(span), [("a", "V2"), ("t1", ">u8"), ("t2", ">u8"), ("b", "V2"), ("span", ">u8")]
        )
        rows["a"] = np.frombuffer(wire.tag(1, wire.DELIMITED) + b"\x10", "V2")[0]
        rows["b"] = np.frombuffer(wire.tag(2, wire.DELIMITED) + b"\x08", "V2")[0]
        (rows["t1"], rows["t2"]), rows["span"] = trace, span
        self._links += whole(wire.message(LINK, wire.block(rows)))

    def encoded(self) -> bytes:
        """Return the message."""
        mappings, locations = self._mappings(), self._locations()
        parts = [_ZERO[MAPPING], mappings, _ZERO[LOCATION], locations]
        parts += [_ZERO[FUNCTION], self._functions(), self._links, _ZERO[STRING], self._strings()]
        parts += [_ZERO[ATTRIBUTE], *map(whole, self._attributes), _ZERO[STACK], self._stacks()]
        return b"".join(parts)

    def _numbered(self, key: str, texts: Sequence[str]) -> dict[str, int]:
        """Add attributes; return the index of each."""
        if not texts:
            return {}
        start = self.attributes(key, strings(texts))
        return {text: start + place for place, text in enumerate(texts)}

    def _strings(self) -> bytes:
        import pyarrow as pa

        texts = self._symbols.texts.take(pa.array(self._text.used)).cast(pa.binary())
        return whole(wire.message(STRING, texts))

    def _functions(self) -> bytes:
        s, used = self._symbols, self._function.used
        name, file = self._text(s.function_name[used]), self._text(s.function_file[used])
        return whole(wire.message(FUNCTION, varint(1, name), varint(3, file)))

    def _mappings(self) -> bytes:
        s, used = self._symbols, self._mapping.used
        number = self._numbered(_BUILD, self._builds)
        index = np.array([number.get(s.mapping_build[i], 0) for i in used.tolist()], np.int64)
        file = varint(4, self._text(s.mapping_file[used]))
        build_id = wire.present(wire.message(5, wire.varints(index)), index > 0)
        return whole(wire.message(MAPPING, file, build_id))

    def _locations(self) -> bytes:
        s, hosts = self._symbols, self._hosts
        number = self._numbered(_TYPE, self._types)
        of_kind = [number.get(FRAME_TYPES.get(kind, ""), 0) for kind in KINDS]
        index = np.array(of_kind)[s.kind[hosts]]
        lines = wire.message(
            3, varint(1, self._function(s.function[self._frames])), varint(2, s.line[self._frames])
        )
        return whole(
            wire.message(
                LOCATION,
                varint(1, self._mapping(s.mapping[hosts])),
                varint(2, s.address[hosts]),
                wire.lists(self._sizes, lines),
                wire.present(wire.message(4, wire.varints(index)), index > 0),
            )
        )

    def _stacks(self) -> bytes:
        numbers = wire.varints(self._location(self._stack_locations))
        packed = wire.lists(self._stack_sizes, numbers)
        return whole(wire.message(STACK, wire.message(1, packed)))


def _ranges(ends: Numbers, values: Numbers, used: Numbers) -> tuple[Numbers, Numbers]:
    """Return the sizes of ranges, and their values one behind the other."""
    sizes = ends[used + 1] - ends[used]
    return sizes, values[spread(ends[used], sizes)]


def varint(number: int, values: Any) -> pa.BinaryArray:
    """Return a varint field of each row."""
    return wire.join(wire.tag(number, wire.VARINT), wire.varints(values))


def strings(texts: Any) -> pa.BinaryArray:
    """Return texts as ``AnyValue``."""
    import pyarrow as pa

    found = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    return wire.message(of.STRING, found.cast(pa.binary()))


def integers(values: Any) -> pa.BinaryArray:
    """Return integers as ``AnyValue``."""
    return varint(of.INT, values)


def whole(rows: pa.BinaryArray) -> bytes:
    """Return the bytes of all rows."""
    offsets, data = wire.buffers(rows)
    return data[int(offsets[0]) : int(offsets[-1])].tobytes()
