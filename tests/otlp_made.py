"""Requests of profiles made with the generated classes, and what they mean, with no reader."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.profiles.v1development import profiles_pb2

from workbench.formats.otlp.reading.messages import WireMessages
from workbench.formats.otlp.reading.read_dictionary import Dictionaries
from workbench.formats.otlp.signals import SIGNALS
from workbench.formats.otlp.transcoding.json import encode
from workbench.profiles.profile import Profile

T0 = 1_700_000_000_000_000_000
TABLES = ("mapping", "location", "function", "link", "attribute", "stack")


class Made:
    """A request whose dictionary holds the zero values, and then what is added."""

    def __init__(self) -> None:
        self.data = profiles_pb2.ProfilesData()
        self.tables = self.data.dictionary
        for name in TABLES:
            getattr(self.tables, f"{name}_table").add()
        self.tables.string_table.append("")

    def text(self, text: str) -> int:
        """Return the index of a string."""
        table = self.tables.string_table
        if text not in table:
            table.append(text)
        return list(table).index(text)

    def attribute(self, key: str, value: Any, unit: str = "") -> int:
        """Return the index of a new attribute."""
        one = self.tables.attribute_table.add(
            key_strindex=self.text(key), unit_strindex=self.text(unit)
        )
        set_value(one.value, value)
        return len(self.tables.attribute_table) - 1

    def attributes(self, given: Mapping[str, Any]) -> list[int]:
        """Return the indices of new attributes."""
        return [self.attribute(key, value) for key, value in given.items()]

    def mapping(self, file: str, given: Mapping[str, Any] | None = None, **fields: int) -> int:
        """Return the index of a new mapping."""
        self.tables.mapping_table.add(
            filename_strindex=self.text(file),
            attribute_indices=self.attributes(given or {}),
            **fields,
        )
        return len(self.tables.mapping_table) - 1

    def location(
        self,
        *lines: tuple[str, str, int],
        mapping: int = 0,
        address: int = 0,
        given: Mapping[str, Any] | None = None,
    ) -> int:
        """Return the index of a new location; its lines are name, file and number."""
        one = self.tables.location_table.add(
            mapping_index=mapping, address=address, attribute_indices=self.attributes(given or {})
        )
        for name, file, line in lines:
            self.tables.function_table.add(
                name_strindex=self.text(name), filename_strindex=self.text(file)
            )
            one.lines.add(function_index=len(self.tables.function_table) - 1, line=line)
        return len(self.tables.location_table) - 1

    def stack(self, *locations: int) -> int:
        """Return the index of a new stack, leaf first."""
        self.tables.stack_table.add(location_indices=locations)
        return len(self.tables.stack_table) - 1

    def link(self, trace_id: bytes, span_id: bytes) -> int:
        """Return the index of a new link."""
        self.tables.link_table.add(trace_id=trace_id, span_id=span_id)
        return len(self.tables.link_table) - 1

    def profile(
        self,
        type: str = "samples",
        unit: str = "count",
        *,
        resource: Mapping[str, Any] | None = None,
        scope: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        **fields: int,
    ) -> Any:
        """Return a new profile, of a resource and a scope of its own."""
        outer = self.data.resource_profiles.add()
        scoped = outer.scope_profiles.add()
        for holder, pairs in ((outer.resource, resource), (scoped.scope, scope)):
            for key, value in (pairs or {}).items():
                set_value(holder.attributes.add(key=key).value, value)
        one = scoped.profiles.add(attribute_indices=self.attributes(given or {}), **fields)
        one.sample_type.type_strindex = self.text(type)
        one.sample_type.unit_strindex = self.text(unit)
        return one

    def body(self) -> bytes:
        """Return the message."""
        return bytes(self.data.SerializeToString())


def set_value(value: Any, given: Any) -> None:
    """Set an ``AnyValue``."""
    if isinstance(given, list):
        value.array_value.SetInParent()
        for each in given:
            set_value(value.array_value.values.add(), each)
        return
    kinds = {str: "string", bool: "bool", int: "int", float: "double", bytes: "bytes"}
    setattr(value, f"{kinds[type(given)]}_value", given)


def simple() -> Made:
    """Two threads in two stacks, with a bit of everything."""
    made = Made()
    program = made.mapping(
        "/bin/program",
        {"process.executable.build_id.gnu": "abcd"},
        memory_start=0x1000,
        file_offset=0x400,
    )
    work = made.location(
        ("small", "p.c", 7), ("work", "p.c", 9), mapping=program, address=0x1020,
        given={"profile.frame.type": "native"},
    )  # fmt: skip
    read = made.location(
        ("sys_read", "", 0), address=0xFFFFFFFF81000010, given={"profile.frame.type": "kernel"}
    )
    bare = made.location(mapping=program, address=0x10FF)
    python = made.location(("handle", "job.py", 11), given={"profile.frame.type": "cpython"})
    one, two = made.stack(read, work), made.stack(bare, python)
    profile = made.profile(
        resource={"process.pid": 77, "process.executable.name": "program"},
        given={"pprof.profile.comment": ["first", "second"]},
        time_unix_nano=T0, duration_nano=10**9, period=10_000_000,
    )  # fmt: skip
    profile.period_type.type_strindex = made.text("cpu")
    profile.period_type.unit_strindex = made.text("nanoseconds")
    thread = made.attributes({"thread.id": 78, "thread.name": "worker"})
    link = made.link(b"\1" * 16, b"\2" * 8)
    profile.samples.add(
        stack_index=one, attribute_indices=thread, link_index=link,
        values=[2, 3], timestamps_unix_nano=[T0 + 1, T0 + 2],
    )  # fmt: skip
    profile.samples.add(stack_index=two, timestamps_unix_nano=[T0 + 3, T0 + 4, T0 + 5])
    profile.samples.add(stack_index=two, values=[10])
    return made


def dictionaries(*made: Made) -> Dictionaries:
    """Return the dictionaries of requests, read."""
    bodies = [each.body() for each in made]
    ends = np.cumsum([len(each) for each in bodies])
    starts = ends - [len(each) for each in bodies]
    return Dictionaries(WireMessages(np.frombuffer(b"".join(bodies), np.uint8), starts, ends))


def delimited(*bodies: bytes) -> bytes:
    """Return messages after their lengths."""
    return b"".join(struct.pack(">I", len(each)) + each for each in bodies)


def json_lines(*bodies: bytes) -> bytes:
    """Return messages as lines of OTLP JSON."""
    return b"".join(encode(SIGNALS["profiles"], each) + b"\n" for each in bodies)


def changed(body: bytes, chance: random.Random) -> bytes:
    """Return a well-formed request of which some fields say something else, or nonsense."""
    data = profiles_pb2.ProfilesData.FromString(body)
    for _ in range(chance.randint(1, 3)):
        parts = list(_parts(data))
        message = chance.choice(parts)
        field = chance.choice(list(message.DESCRIPTOR.fields))
        kind = field.cpp_type
        if kind == field.CPPTYPE_MESSAGE and not field.is_repeated:
            other = chance.choice([each for each in parts if each.DESCRIPTOR == message.DESCRIPTOR])
            copied = type(message).FromString(other.SerializeToString())
            message.ClearField(field.name)
            if copied.HasField(field.name):
                getattr(message, field.name).CopyFrom(getattr(copied, field.name))
        elif field.is_repeated:
            _change_list(getattr(message, field.name), kind in _INTEGERS, chance)
        elif kind in _INTEGERS:
            setattr(message, field.name, chance.choice(_INTEGERS[kind]))
        else:
            message.ClearField(field.name)
    return bytes(data.SerializeToString())


def _parts(message: Any) -> Iterator[Any]:
    """Yield a message and all in it."""
    yield message
    for field, value in message.ListFields():
        if field.cpp_type == field.CPPTYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                yield from _parts(each)


def _change_list(values: Any, numbers: bool, chance: random.Random) -> None:
    what = chance.randrange(4)
    if what == 0 and len(values):
        del values[chance.randrange(len(values))]
    elif what == 1:
        values.extend(list(values) * chance.randint(1, 20))
    elif numbers:
        values.append(chance.choice((0, 1, 2, 5, 99)))
    elif len(values):
        values.append(values[chance.randrange(len(values))])


_INTEGERS: dict[int, tuple[int, ...]] = {
    FieldDescriptor.CPPTYPE_INT32: (0, 1, 2, 3, 9, -1, 99, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (0, 1, -1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2**63, 2**64 - 1),
}


class Seen(NamedTuple):
    """One observation: names leaf first, and what else is known of it."""

    type: str
    unit: str
    names: tuple[str, ...]
    amount: int
    ts: int
    pid: int | None
    tid: int | None
    comm: str | None


def meaning(*data: Any) -> list[Seen]:
    """Return the observations of messages, one by one."""
    return sorted((each for one in data for each in _meaning(one)), key=repr)


def _meaning(data: Any) -> Iterator[Seen]:
    tables = data.dictionary
    text = tables.string_table
    for outer in data.resource_profiles:
        about = {each.key: _value(each.value) for each in outer.resource.attributes}
        for profile in (each for scoped in outer.scope_profiles for each in scoped.profiles):
            kind = profile.sample_type
            for sample in profile.samples:
                entries = [tables.attribute_table[at] for at in sample.attribute_indices]
                own = {text[each.key_strindex]: _value(each.value) for each in entries}
                count = max(len(sample.values), len(sample.timestamps_unix_nano))
                values = list(sample.values) or [1] * count
                times = list(sample.timestamps_unix_nano) or [profile.time_unix_nano] * count
                for value, ts in zip(values, times, strict=True):
                    yield Seen(
                        text[kind.type_strindex],
                        text[kind.unit_strindex],
                        _names(tables, sample.stack_index),
                        value,
                        ts,
                        own.get("process.pid", about.get("process.pid")),
                        own.get("thread.id"),
                        own.get("thread.name", about.get("process.executable.name")),
                    )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def _names(tables: Any, index: int) -> tuple[str, ...]:
    found = []
    for at in tables.stack_table[index].location_indices:
        location = tables.location_table[at]
        names = [
            tables.string_table[tables.function_table[line.function_index].name_strindex]
            for line in location.lines
        ]
        found += [name or f"[{location.address:#x}]" for name in names or [""]]
    return tuple(found)


def told(profile: Profile) -> list[Seen]:
    """Return the observations of what was read."""
    functions = pl.DataFrame(profile.frames)["function"].to_list()
    stacks = profile.stacks["frame_ids"].to_pylist()
    found = []
    for samples in profile.samples:
        (value,) = samples.values
        count = len(samples)
        columns: Sequence[Any] = [
            samples.columns[name].to_pylist() if name in samples.columns else [None] * count
            for name in ("ts", "pid", "tid", "comm")
        ]
        for stack, amount, *known in zip(
            samples.stack_ids.tolist(), value.amounts.tolist(), *columns, strict=True
        ):
            names = tuple(functions[at] for at in stacks[stack])
            found.append(Seen(value.name, value.unit, names, amount, *known))
    return sorted(found, key=repr)
