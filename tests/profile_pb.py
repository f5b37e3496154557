"""pprof's messages as classes of the protobuf library: what the workbench's own codec is held to.

The fields are written down from google/pprof's ``proto/profile.proto``.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELDS = {
    "ValueType": "int64 type, int64 unit",
    "Label": "int64 key, int64 str, int64 num, int64 num_unit",
    "Sample": "*uint64 location_id, *int64 value, *Label label",
    "Mapping": "uint64 id, uint64 memory_start, uint64 memory_limit, uint64 file_offset, "
    "int64 filename, int64 build_id, bool has_functions, bool has_filenames, "
    "bool has_line_numbers, bool has_inline_frames",
    "Line": "uint64 function_id, int64 line, int64 column",
    "Location": "uint64 id, uint64 mapping_id, uint64 address, *Line line, bool is_folded",
    "Function": "uint64 id, int64 name, int64 system_name, int64 filename, int64 start_line",
    "Profile": "*ValueType sample_type, *Sample sample, *Mapping mapping, *Location location, "
    "*Function function, *string string_table, int64 drop_frames, int64 keep_frames, "
    "int64 time_nanos, int64 duration_nanos, ValueType period_type, int64 period, "
    "*int64 comment, int64 default_sample_type, int64 doc_url",
}
_TYPES = {"int64": 3, "uint64": 4, "bool": 8, "string": 9}
"""``FieldDescriptorProto.Type``; 11 is a message."""


def _profile_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, field in enumerate(fields.split(", "), 1):
            kind, own = field.lstrip("*").split()
            added = message.field.add(name=own, number=number, type=_TYPES.get(kind, 11))
            added.label = 3 if field.startswith("*") else 1
            if kind not in _TYPES:
                added.type_name = f".p.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Profile"))


Profile = _profile_class()


def text(profile: Any, number: int) -> str:
    """Return a string of a profile's table."""
    return profile.string_table[number]


def small() -> Any:
    """Return a profile with something of everything: two types, inlining, labels, no mapping."""
    made = Profile(time_nanos=10**18, duration_nanos=10**9, period=10_000_000)
    strings: dict[str, int] = {}

    def s(one: str) -> int:
        return strings.setdefault(one, len(strings))

    s("")
    made.sample_type.add(type=s("samples"), unit=s("count"))
    made.sample_type.add(type=s("cpu"), unit=s("nanoseconds"))
    made.period_type.type, made.period_type.unit = s("cpu"), s("nanoseconds")
    made.mapping.add(
        id=7, memory_start=0x400000, memory_limit=0x500000, file_offset=0x1000,
        filename=s("/bin/program"), build_id=s("abcd"), has_functions=True, has_filenames=True,
    )  # fmt: skip
    made.mapping.add(
        id=3, memory_start=0xFFFFFFFF81000000, memory_limit=0xFFFFFFFF82000000,
        filename=s("[kernel.kallsyms]"),
    )  # fmt: skip
    for number, name in enumerate(("main", "work", "small", "sys_read", "handle"), 1):
        file = "app.py" if name == "handle" else "a.c"
        made.function.add(
            id=number * 10, name=s(name), system_name=s(f"_{name}"), filename=s(file),
            start_line=number,
        )  # fmt: skip
    made.location.add(id=1, mapping_id=7, address=0x400010).line.add(function_id=10, line=5)
    both = made.location.add(id=2, mapping_id=7, address=0x400020)
    both.line.add(function_id=30, line=7, column=3)
    both.line.add(function_id=20, line=9)
    made.location.add(id=1 << 63, mapping_id=3, address=0xFFFFFFFF81000010).line.add(function_id=40)
    made.location.add(id=5, mapping_id=7, address=0x4000FF)  # without a line
    made.location.add(id=6).line.add(function_id=50, line=11)
    made.location.add(id=9, mapping_id=7, address=0x400030, is_folded=True).line.add(function_id=20)
    one = made.sample.add(location_id=[1 << 63, 2, 1], value=[3, 30_000_000])
    one.label.add(key=s("thread"), str=s("worker"))
    one.label.add(key=s("pid"), num=42)
    one.label.add(key=s("size"), num=4096, num_unit=s("bytes"))
    one.label.add(key=s("tag"), str=s("x"))
    one.label.add(key=s("tag"), str=s("y"))
    made.sample.add(location_id=[5, 1], value=[1, 10_000_000])
    made.sample.add(location_id=[6], value=[-2, -20_000_000]).label.add(key=s("tag"), str=s("z"))
    made.sample.add(location_id=[9, 9, 1], value=[0, 0])
    made.sample.add(value=[1, 10_000_000])
    made.comment.extend([s("first"), s("second")])
    made.default_sample_type = s("cpu")
    made.drop_frames, made.keep_frames = s("drop.*"), s("keep.*")
    made.doc_url = s("http://example.org/doc")
    made.string_table.extend(strings)
    return made


def plain(profile: Any) -> dict[str, Any]:
    """Return what a profile says, without its numbers: equal for equal profiles."""

    def t(number: int) -> str:
        return profile.string_table[number]

    functions = {
        f.id: (t(f.name), t(f.system_name), t(f.filename), f.start_line) for f in profile.function
    }
    mappings = {
        m.id: (
            m.memory_start, m.memory_limit, m.file_offset, t(m.filename), t(m.build_id),
            m.has_functions, m.has_filenames, m.has_line_numbers, m.has_inline_frames,
        )
        for m in profile.mapping
    }  # fmt: skip
    locations = {
        loc.id: (
            mappings.get(loc.mapping_id), loc.address, loc.is_folded,
            tuple((functions[x.function_id], x.line, x.column) for x in loc.line),
        )
        for loc in profile.location
    }  # fmt: skip
    samples: dict[Any, list[int]] = {}
    for sample in profile.sample:
        labels = sorted((t(x.key), t(x.str), x.num, t(x.num_unit)) for x in sample.label)
        key = (tuple(locations[each] for each in sample.location_id), tuple(labels))
        known = samples.setdefault(key, [0] * len(sample.value))
        samples[key] = [a + b for a, b in zip(known, sample.value, strict=True)]
    return {
        "types": [(t(x.type), t(x.unit)) for x in profile.sample_type],
        "samples": samples,
        "mappings": list(mappings.values()),
        "period": (t(profile.period_type.type), t(profile.period_type.unit), profile.period),
        "comments": [t(x) for x in profile.comment],
        "default": t(profile.default_sample_type),
        "frames": (t(profile.drop_frames), t(profile.keep_frames)),
        "doc_url": t(profile.doc_url),
        "time": (profile.time_nanos, profile.duration_nanos),
    }
