"""The profiles of some requests as columns: one row for each observation of each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.messages import Integers, Messages, damaged
from workbench.formats.otlp.reading.profile_schema import (
    Field,
    Profile,
    ProfilesData,
    ResourceProfiles,
    Sample,
    ScopeProfiles,
    ValueType,
)
from workbench.formats.otlp.reading.read_batch import Batch, Kind, Rows
from workbench.formats.otlp.reading.read_dictionary import Dictionaries
from workbench.formats.otlp.reading.read_frames import frames, stacks
from workbench.formats.otlp.reading.read_labels import labels, links
from workbench.formats.otlp.reading.read_origins import name_of, resources_of, scopes_of
from workbench.profiles.tables import check_kinds
from workbench.profiles.text_columns import column, taken

MAX_ROWS = 1 << 25
"""Observations of one file."""
MAX_PROFILES = 1 << 17
"""Profiles of the requests that are read at once."""
_PID, _EXECUTABLE = "process.pid", "process.executable.name"
_MOST = (1 << 63) - 1


def batch(requests: Messages, room: int = MAX_ROWS) -> Batch | None:
    """Return what some requests hold; None if that is no profile.

    Parameters
    ----------
    requests : Messages
        Of type ``ProfilesData``.
    room : int
        Observations that they may have.

    Raises
    ------
    ImportFormatError
        They are damaged, or hold too much.
    """
    outer, request_of = requests.children(ProfilesData.RESOURCE_PROFILES)
    scoped, outer_of = outer.children(ResourceProfiles.SCOPE_PROFILES)
    profiles, scoped_of = scoped.children(ScopeProfiles.PROFILES)
    if not len(profiles):
        return None
    if len(profiles) > MAX_PROFILES:
        raise damaged(f"it has more than {MAX_PROFILES:,} profiles")
    found = Dictionaries(requests)
    of_profile = request_of[outer_of[scoped_of]]
    resources = resources_of(found, outer, request_of)
    scopes = scopes_of(found, scoped, request_of[outer_of])
    flat, owner = _references(found, profiles, Profile.ATTRIBUTE_INDICES, of_profile)
    own: list[dict[str, Any]] = [{} for _ in range(len(profiles))]
    for at, row in zip(owner.tolist(), flat.tolist(), strict=True):
        own[at][found.text(int(found.keys[row]))] = found.values[row]
    names = [name_of(one, scopes[at]) for one, at in zip(own, scoped_of.tolist(), strict=True)]
    kinds = _kinds(found, profiles, of_profile, names)
    times = profiles.times(Profile.TIME_UNIX_NANO)
    lasted = profiles.numbers(Profile.DURATION_NANO)
    if (times < 0).any() or (lasted < 0).any() or (lasted > _MOST - times).any():
        raise damaged("a time is later than the year 2262")
    where = [resources[at] for at in outer_of[scoped_of].tolist()]
    samples, profile_of = profiles.children(Profile.SAMPLES)
    made = _Samples(found, samples, of_profile[profile_of], room)
    made.fill(profile_of, where)
    rows_frames, frame_offsets = frames(found)
    used, stack = np.unique(made.stack, return_inverse=True)
    flat_frames, offsets = stacks(found, used, frame_offsets)
    known = times[times > 0]
    ends = np.concatenate([known + lasted[times > 0], made.times + 1])
    starts = np.concatenate([known, made.times[made.times > 0]])
    return Batch(
        rows_frames,
        flat_frames,
        offsets,
        made.rows(kinds, profile_of, times, stack),
        made.units,
        made.keys,
        int(starts.min(initial=_MOST)) if len(starts) else 0,
        int(ends.max(initial=0)),
        made.empty,
        resources,
        scopes,
        own,
    )


def _kinds(
    found: Dictionaries, profiles: Messages, request: Integers, names: list[str]
) -> tuple[list[Kind], Integers]:
    """Return the kinds, and which one each profile is of."""
    columns: list[list[Any]] = []
    for field in (Profile.SAMPLE_TYPE, Profile.PERIOD_TYPE):
        each, owner = profiles.children(field)
        for text in (ValueType.TYPE_STRINDEX, ValueType.UNIT_STRINDEX):
            rows = np.full(len(profiles), -1)
            rows[owner] = found.string.rows(each.numbers(text), request[owner])
            columns.append(found.texts(rows).to_pylist())
    columns += [profiles.numbers(Profile.PERIOD).tolist(), names]
    numbers: dict[Kind, int] = {}
    which = [numbers.setdefault(Kind(*row), len(numbers)) for row in zip(*columns, strict=True)]
    check_kinds(len(numbers))
    return list(numbers), np.array(which, np.int64)


def _references(
    found: Dictionaries, holders: Messages, field: Field, request: Integers
) -> tuple[Integers, Integers]:
    """Return rows of attributes, without "none", and which message has each."""
    flat, offsets = holders.number_lists(field)
    owner = np.repeat(np.arange(len(holders)), np.diff(offsets))
    rows = found.attribute.rows(flat, request[owner])
    kept = (rows >= 0) & (np.append(found.keys, -1)[rows] >= 0)
    return rows[kept], owner[kept]


class _Samples:
    """The samples of some requests, on their way to rows."""

    def __init__(
        self, found: Dictionaries, samples: Messages, request: Integers, room: int
    ) -> None:
        index = samples.numbers(Sample.STACK_INDEX)
        stack = found.stack.rows(index, request)
        first = (index == 0) & (found.stack.size[request] > 0)
        self.stack = np.where(first, found.stack.base[request], stack)
        self.values, value_offsets = samples.number_lists(Sample.VALUES)
        self.times, time_offsets = samples.time_lists(Sample.TIMESTAMPS_UNIX_NANO)
        if (self.times < 0).any():
            raise damaged("a time is later than the year 2262")
        values, times = np.diff(value_offsets), np.diff(time_offsets)
        if ((values > 0) & (times > 0) & (values != times)).any():
            raise damaged("a sample has not as many values as times")
        self.sizes = np.maximum(values, times)
        self._has_values, self._has_times = values > 0, times > 0
        self.empty = int((self.sizes == 0).sum())
        if int(self.sizes.sum()) > room:
            raise ImportFormatError(
                "The file has more samples than can be imported.", why=f"At most {MAX_ROWS:,} are."
            )
        flat, owner = _references(found, samples, Sample.ATTRIBUTE_INDICES, request)
        self._columns, self.units, self.keys = labels(found, flat, owner, len(samples))
        self._columns |= links(found, found.link.rows(samples.numbers(Sample.LINK_INDEX), request))

    def fill(self, profile: Integers, resources: list[dict[str, Any]]) -> None:
        """Put in what only the resource tells: its process, and the name of its program."""
        import pyarrow as pa

        pids = [_pid(one.get(_PID)) for one in resources]
        programs = [_text(one.get(_EXECUTABLE)) for one in resources]
        for name, given in (
            ("pid", pa.array(pids, pa.int64())),
            ("comm", column(programs)),
        ):
            if given.null_count == len(given):
                continue
            is_text = pa.types.is_string(given.type)
            filled = taken(given, profile) if is_text else given.take(pa.array(profile))
            own = self._columns.get(name)
            self._columns[name] = filled if own is None else own.fill_null(filled)
            self.keys.setdefault(name, "")

    def rows(
        self,
        kinds: tuple[list[Kind], Integers],
        profile: Integers,
        start: Integers,
        stack: Integers,
    ) -> dict[Kind, Rows]:
        """Return a row for each observation, by kind.

        A time without a value counts 1, and a value without a time has that of its profile.
        """
        import pyarrow as pa

        sample = np.repeat(np.arange(len(self.sizes)), self.sizes)
        amount, ts = np.ones(len(sample), np.int64), start[profile][sample]
        amount[self._has_values[sample]] = self.values
        ts[self._has_times[sample]] = self.times
        each, which = kinds
        kind = which[profile][sample]
        result = {}
        for number, one in enumerate(each):
            mine = np.flatnonzero(kind == number)
            if len(mine):
                place = pa.array(sample[mine])
                columns = {name: column.take(place) for name, column in self._columns.items()}
                columns = {n: c for n, c in columns.items() if c.null_count < len(c)}
                result[one] = Rows(stack[sample[mine]], amount[mine], ts[mine], columns)
        return result


def _pid(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 32 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
