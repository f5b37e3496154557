"""Whether a file holds requests of OTLP, told from its first bytes."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.formats.otlp.reading.read import LENGTH_BEFORE, MAX_MESSAGE
from workbench.formats.pprof.read import number_at
from workbench.formats.pprof.wire import LENGTH
from workbench.profiles.content import HEAD

_LOOKED_AT = 1 << 12
"""Fields from which a request is recognised."""
_OTHERS = (b'"resourceSpans"', b'"resourceMetrics"', b'"resourceLogs"')


def recognise_json(head: bytes) -> float:
    """Tell by the names that only OTLP's requests have."""
    begin = head.lstrip()
    if not begin.startswith(b"{"):
        return 0.0
    if b'"resourceProfiles"' in head:
        return 1.0
    if b'"dictionary"' in head and (b'"mappingTable"' in head or b'"stringTable"' in head):
        return 0.9
    return 0.7 * any(name in head for name in _OTHERS)


def recognise_protobuf(head: bytes) -> float:
    """Tell by the fields of a message: those of pprof's profiles have others.

    In OTLP field 1 holds messages of which each field has a length, in pprof it holds numbers;
    field 2 comes once in OTLP, and there are no others, while pprof has at least its strings.
    """
    if len(head) > LENGTH_BEFORE.size and head[0] <= MAX_MESSAGE >> 24:
        size = LENGTH_BEFORE.unpack_from(head)[0]
        body = head[LENGTH_BEFORE.size : LENGTH_BEFORE.size + size]
        return 0.9 * _is_request(body, len(body) == size)
    return 0.8 * _is_request(head, len(head) < HEAD)


def _is_request(head: bytes, whole: bool) -> bool:
    """Return whether bytes are a request, or begin one."""
    dictionaries = filled = 0
    for number, start, end in _parts_of(head):
        dictionaries += number == 2
        filled += end > start
        if number not in (1, 2) or dictionaries > 1 or (whole and end > len(head)):
            return False
        if number == 1 and not _is_resource(head[start:end], end <= len(head)):
            return False
    return filled > 0


def _is_resource(head: bytes, whole: bool) -> bool:
    """Return whether bytes are, or begin, profiles of a resource: resource, scopes, schema."""
    return all(
        1 <= number <= 3 and not (whole and end > len(head)) for number, _, end in _parts_of(head)
    )


def _parts_of(head: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of fields with a length; number 0 for any other."""
    at = 0
    for _ in range(_LOOKED_AT):
        if at >= len(head):
            return
        tag = head[at]
        length, start = number_at(head, at + 1)
        if tag & 7 != LENGTH or tag >= 0x80:
            yield 0, at, at
            return
        yield tag >> 3, start, start + length
        at = start + length
