"""The manifest of a session: what was recorded, where, when, and what was lost.

:class:`Manifest` is written as ``manifest.json`` by the recorder and validated on every read:
no type, size or depth in the file is trusted, see :mod:`workbench.store.checks`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from workbench._version import __version__
from workbench.errors import SessionCorruptError, SessionVersionError
from workbench.schema import FORMAT_VERSION
from workbench.store.checks import (
    Check,
    array,
    integer,
    mapping,
    name,
    number,
    optional,
    record,
    table_of,
    text,
)

MANIFEST_NAME = "manifest.json"
MAX_BYTES = 16 << 20
"""Longest manifest that is read: 4,096 CPUs times 16 kinds of losses take 13 MB."""

STATES = ("recording", "complete", "recovered")
MAX_I64 = (1 << 63) - 1
MAX_U64 = (1 << 64) - 1

_count = integer(0, MAX_U64)
_time = integer(-MAX_I64, MAX_I64)
_losses = record(
    {
        "kind": name,
        "cpu": integer(0, 1 << 16),
        "produced": _count,
        "delivered": _count,
        "dropped": table_of(_count, limit=64),
    },
    {"stacks": table_of(_count, limit=64)},
)
_overhead = record(
    {"kind": name, "program": text(256)},
    {
        "run_count": _count,
        "run_time_ns": _count,
        "sampled_ns": _count,
        "ns_per_run": number,
        "cpu_share": number,
    },
)
_host = record(
    {},
    {
        "node": text(256),
        "machine": text(64),
        "kernel": text(256),
        "cpus": integer(0, 1 << 16),
        "boot_id": text(64),
    },
)
_clock = record({}, {"offset_start_ns": optional(_time), "offset_stop_ns": optional(_time)})
_recorder = record(
    {},
    {"cpu_ns": _count, "startup_cpu_ns": _count, "wall_ns": _count, "max_rss_bytes": _count},
)

_CHECKS: dict[str, Check] = {
    "kinds": table_of(mapping, limit=64),
    "state": text(16),
    "reason": text(4096),
    "workbench": text(64),
    "objects": table_of(text(128), limit=64),
    "target": mapping,
    "host": _host,
    "clock": _clock,
    "start_ns": integer(0, MAX_I64),
    "stop_ns": optional(integer(0, MAX_I64)),
    "tables": table_of(
        record({"rows": integer(0, 1 << 62)}, {"crc32": integer(0, (1 << 32) - 1)}), limit=64
    ),
    "losses": array(_losses, limit=1 << 17),
    "overhead": array(_overhead, limit=4096),
    "recorder": _recorder,
    "problems": array(text(4096), limit=256),
    "switched_off": array(
        record({"kind": name, "from_ns": _time, "to_ns": optional(_time)}), limit=4096
    ),
}


@dataclass(frozen=True)
class Manifest:
    """What a session holds and how it came about.

    Parameters
    ----------
    kinds : mapping of str to mapping
        Parameters of each capture kind, in the order in which they were asked for.
    start_ns : int
        Start of the recording, nanoseconds since 1970 UTC.
    stop_ns : int, optional
        End of the recording; None while it runs or when the recorder died.
    state : str
        ``recording``, ``complete`` or ``recovered``.
    reason : str
        Why the recording stopped.
    objects : mapping of str to str
        SHA-256 (hexadecimal) of the BPF object of each kind.
    target, host, clock, recorder : mapping
        What was traced, on which machine, UTC minus boot time in ns at start and stop, and what
        the recorder itself cost.
    tables : mapping of str to mapping
        ``{"rows": n}`` of every table, with ``crc32`` of its Parquet file once that is written.
    losses, overhead : tuple of mapping
        Counts per kind and CPU; cost per program.
    problems : tuple of str
        What went wrong without ending the capture, for people.
    switched_off : tuple of mapping
        ``kind``, ``from_ns`` and ``to_ns`` (None: to the end), UTC, of periods in which a probe
        was switched off and certainly saw nothing.
    workbench : str
        Version that wrote the session.
    """

    kinds: Mapping[str, Mapping[str, Any]]
    start_ns: int
    stop_ns: int | None = None
    state: str = "recording"
    reason: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    clock: Mapping[str, int | None] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    losses: tuple[Mapping[str, Any], ...] = ()
    overhead: tuple[Mapping[str, Any], ...] = ()
    recorder: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    switched_off: tuple[Mapping[str, Any], ...] = ()
    workbench: str = __version__

    @property
    def machine(self) -> str:
        """Architecture of the traced host, ``""`` where it is not known."""
        return str(self.host.get("machine", ""))

    def rows(self, table: str) -> int:
        """Rows of a table as the writer counted them, 0 for a table it does not name."""
        return int(self.tables.get(table, {}).get("rows", 0))

    def to_json(self) -> str:
        """Return the text of ``manifest.json``.

        Raises
        ------
        SessionCorruptError
            When a value is one that :meth:`from_json` would refuse.
        """
        document: dict[str, Any] = {"format": FORMAT_VERSION, **asdict(self)}
        document["losses"] = list(self.losses)
        document["overhead"] = list(self.overhead)
        document["problems"] = list(self.problems)
        document["switched_off"] = list(self.switched_off)
        _validated(document)
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, content: str | bytes) -> Manifest:
        """Read and validate a manifest.

        Parameters
        ----------
        content : str or bytes
            The file's content, UTF-8.

        Raises
        ------
        SessionCorruptError
            When it is no JSON, or a value has another type, size or depth than it may have.
        SessionVersionError
            When a newer workbench wrote it.
        """
        return cls(**_validated(_parsed(content)))


def _parsed(content: str | bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise _corrupt(f"it has {len(content)} bytes, at most {MAX_BYTES} are read")
    try:
        document = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _corrupt(str(error)) from error
    if not isinstance(document, dict):
        raise _corrupt("it is not a JSON object")
    version = document.get("format")
    if type(version) is not int or version < 1:
        raise _corrupt("it names no format version")
    if version > FORMAT_VERSION:
        raise SessionVersionError(
            f"The session has format {version}, this workbench reads up to {FORMAT_VERSION}.",
            advice="Upgrade the workbench: pip install --upgrade ebpf-workbench",
        )
    return document


def _no_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _validated(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a manifest; keys that are not known are left out."""
    values: dict[str, Any] = {}
    for item in fields(Manifest):
        if item.name in document:
            try:
                values[item.name] = _CHECKS[item.name](document[item.name], item.name)
            except ValueError as error:
                raise _corrupt(str(error)) from error
    missing = [key for key in ("kinds", "start_ns", "state") if key not in values]
    if missing:
        raise _corrupt(f"{', '.join(missing)} missing")
    if values["state"] not in STATES:
        raise _corrupt(f"state is {values['state']!r}")
    return values


def _corrupt(why: str) -> SessionCorruptError:
    return SessionCorruptError("The session's manifest cannot be used.", why=why)
