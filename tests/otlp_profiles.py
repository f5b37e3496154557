"""Profiles of OTLP, resolved: what each sample means, without an index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from otlp_sessions import profiles, value


@dataclass(frozen=True)
class Sample:
    """A sample with its stack: locations leaf first, each with its lines, innermost first."""

    stack: tuple[tuple[tuple[str, str, int], ...], ...]
    mappings: tuple[str, ...]
    addresses: tuple[int, ...]
    attributes: dict[str, Any]
    link: tuple[bytes, bytes]
    values: tuple[int, ...]
    times: tuple[int, ...]

    @property
    def functions(self) -> list[str]:
        """Names, leaf first."""
        return [name for lines in self.stack for name, _, _ in lines]


def check_dictionary(dictionary: Any) -> None:
    """Entry 0 of every table is zero, and nothing comes twice or is not used."""
    for field in dictionary.DESCRIPTOR.fields:
        table = list(getattr(dictionary, field.name))
        assert table[0] == ("" if field.name == "string_table" else type(table[0])())
        raw = [each if isinstance(each, str) else each.SerializeToString() for each in table]
        assert len(set(raw)) == len(raw), field.name


def used(message: Any) -> dict[str, set[int]]:
    """Entries that are referred to, by table."""
    d = message.dictionary
    found: dict[str, set[int]] = {name: {0} for name in d.DESCRIPTOR.fields_by_name}
    for profile in profiles([message]):
        for kind in (profile.sample_type, profile.period_type):
            found["string_table"] |= {kind.type_strindex, kind.unit_strindex}
        found["attribute_table"] |= set(profile.attribute_indices)
        for sample in profile.samples:
            found["stack_table"].add(sample.stack_index)
            found["link_table"].add(sample.link_index)
            found["attribute_table"] |= set(sample.attribute_indices)
    for stack in d.stack_table:
        found["location_table"] |= set(stack.location_indices)
    for location in d.location_table:
        found["mapping_table"].add(location.mapping_index)
        found["attribute_table"] |= set(location.attribute_indices)
        found["function_table"] |= {line.function_index for line in location.lines}
    for function in d.function_table:
        found["string_table"] |= {function.name_strindex, function.filename_strindex}
    for mapping in d.mapping_table:
        found["string_table"].add(mapping.filename_strindex)
        found["attribute_table"] |= set(mapping.attribute_indices)
    found["string_table"] |= {each.key_strindex for each in d.attribute_table}
    return found


def samples(message: Any) -> list[Sample]:
    """All samples of a request."""
    d = message.dictionary
    check_dictionary(d)
    for name, numbers in used(message).items():
        assert numbers == set(range(len(getattr(d, name)))), name  # none is missing or idle
    return [_sample(d, sample) for profile in profiles([message]) for sample in profile.samples]


def named(dictionary: Any, indices: Any) -> dict[str, Any]:
    """Attributes by key."""
    found = {}
    for index in indices:
        each = dictionary.attribute_table[index]
        found[dictionary.string_table[each.key_strindex]] = value(each.value)
    assert len(found) == len(indices)
    return found


def _sample(d: Any, sample: Any) -> Sample:
    locations = [d.location_table[i] for i in d.stack_table[sample.stack_index].location_indices]
    text = d.string_table
    link = d.link_table[sample.link_index]
    assert len(sample.values) == len(sample.timestamps_unix_nano)
    return Sample(
        tuple(
            tuple(
                (text[f.name_strindex], text[f.filename_strindex], line.line)
                for line in location.lines
                for f in [d.function_table[line.function_index]]
            )
            for location in locations
        ),
        tuple(text[d.mapping_table[each.mapping_index].filename_strindex] for each in locations),
        tuple(location.address for location in locations),
        named(d, sample.attribute_indices),
        (link.trace_id, link.span_id),
        tuple(sample.values),
        tuple(sample.timestamps_unix_nano),
    )


def folded(found: list[Sample]) -> dict[str, int]:
    """Values by ``comm;root;...;leaf``."""
    total: Counter[str] = Counter()
    for each in found:
        comm = each.attributes.get("thread.name", "")
        total[";".join([comm, *reversed(each.functions)])] += sum(each.values)
    return dict(total)


def types(message: Any) -> list[tuple[str, str]]:
    """Type and unit of the profiles of a request."""
    text = message.dictionary.string_table
    return [
        (text[p.sample_type.type_strindex], text[p.sample_type.unit_strindex])
        for p in profiles([message])
    ]
